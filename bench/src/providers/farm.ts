// Mailbox providers as they behave on a bad day, with a name server that leads to them, in a process of its own:
// `node farm.js <port> <seconds of the day>`.
import { aRecord, DnsServer, mxRecord, SmtpPeer } from '@waypost/testkit';
import { PROVIDERS, type Provider } from './behaviour.js';

/** What the farm tells when asked. */
export interface FarmReport {
  /** Message number and how often it was taken, one pair each. */
  readonly taken: readonly (readonly [number, number])[];
  /** Numbers whose failure was told to their sender in a DSN. */
  readonly told: readonly number[];
  /** By provider: what was answered instead of taking mail, and how often. */
  readonly answers: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

const [port = 0, day = 0] = process.argv.slice(2).map(Number);
const started = Date.now();
const taken = new Map<number, number>();
const told = new Set<number>();
const peers: { readonly provider: Provider; readonly peer: SmtpPeer }[] = [];
const answers: Record<string, Record<string, number>> = {};
let calm = false;

for (const provider of PROVIDERS) {
  const counts: Record<string, number> = {};
  answers[provider.name] = counts;
  const peer: SmtpPeer = await SmtpPeer.start(
    {
      script: async (phase, line, { address }) => {
        if (calm) return undefined;
        const at = (Date.now() - started) / 1000 / day;
        const answer = await provider.answer({ phase, line, address, at, open: peer.open });
        if (answer) counts[answer.slice(0, 40)] = (counts[answer.slice(0, 40)] ?? 0) + 1;
        return answer;
      },
    },
    port,
    provider.address,
  );
  peers.push({ provider, peer });
}

const dns = await DnsServer.start((name, type) => {
  const domain = PROVIDERS.find((one) => name.endsWith(`${one.name}.test`)) ?? PROVIDERS[0];
  if (type === 'MX' && name.endsWith('.test')) return [mxRecord(name, 10, domain?.mx(name) ?? '')];
  const host = PROVIDERS.find((one) => name.endsWith(one.hosts));
  if (type === 'A') return [aRecord(name, (host ?? PROVIDERS[0])?.address ?? '')];
  return [];
});

/** Notes what has come, and lets go of it. */
function count(): void {
  for (const { peer } of peers) {
    for (const { rcpts, body } of peer.messages.splice(0)) {
      const number = /<n(\d+)@/.exec(rcpts[0] ?? '')?.[1];
      if (number !== undefined) taken.set(Number(number), (taken.get(Number(number)) ?? 0) + 1);
      const text = body.toString('latin1');
      if (!/^Action: failed/m.test(text)) continue;
      for (const [, failed] of text.matchAll(/^Final-Recipient: rfc822; n(\d+)@/gm)) told.add(Number(failed));
    }
  }
}

setInterval(count, 500);
process.on('message', (what) => {
  if (what === 'calm') calm = true;
  if (what === 'end') process.exit(0);
  count();
  const report: FarmReport = { taken: [...taken], told: [...told], answers };
  process.send?.(report);
});
process.send?.(dns.address);
