import { createSmimePool, SmimeBusyError, type SmimePool } from '@waypost/smime';
import { afterEach, describe, expect, it } from 'vitest';

const pools: SmimePool[] = [];
afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close()));
});

const open = (longest?: number) => {
  const pool = createSmimePool(1, longest);
  pools.push(pool);
  return pool;
};
const verify = (pool: SmimePool, cms = Buffer.from('no signature')) =>
  pool.run({ kind: 'verify', cms, options: { anchors: [], from: 'a@example.com' } });

describe('S/MIME in threads', () => {
  it('takes so many tasks at once, and says of others that it has no room', async () => {
    const pool = open();
    const all = await Promise.allSettled(Array.from({ length: 400 }, () => verify(pool)));
    const refused = all.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(refused.length).toBeGreaterThan(100);
    expect(refused.every((error) => error instanceof SmimeBusyError)).toBe(true);
    expect(await verify(pool)).toMatchObject({ result: 'permerror' });
  });

  it('gives up what takes too long, and goes on with others', async () => {
    // A thread does not even start in this time.
    await expect(verify(open(1))).rejects.toThrow(/abort/i);
    expect(await verify(open())).toMatchObject({ result: 'permerror' });
  });

  it('says of tasks that its end cuts off that it had no room: they are no verdict on a message', async () => {
    const pool = open();
    const cut = verify(pool);
    cut.catch(() => undefined);
    await pool.close();
    await expect(cut).rejects.toBeInstanceOf(SmimeBusyError);
  });
});
