import type { Draft } from '@waypost/spool';
import type { Explanation, InlineVerdict, PolicyPort, Uncommitted } from './port.js';
import { encode } from './wire.js';

/** A verdict as JSON: inline bodies in base64. */
export type WireVerdict =
  | Extract<InlineVerdict, { kind: 'refuse' }>
  | (Omit<Extract<InlineVerdict, { kind: 'take' }>, 'variants'> & {
      readonly variants: readonly (Omit<Draft, 'inline'> & { readonly inline?: string })[];
    });

/** Asks the policy service of another process. */
export function createPolicyClient(settings: () => { readonly url: string; readonly secret: string }): PolicyPort {
  const ask = async (path: string, message: Uncommitted, signal?: AbortSignal): Promise<unknown> => {
    const { url, secret } = settings();
    const response = await fetch(new URL(path, url), {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/octet-stream' },
      body: encode(message) as Uint8Array<ArrayBuffer>,
      redirect: 'error',
      ...(signal ? { signal } : {}),
    });
    if (response.ok) return response.json();
    await response.body?.cancel();
    throw new Error(`policy answered ${response.status}`);
  };
  return {
    judge: async (message, signal) => {
      const verdict = (await ask('/judge', message, signal)) as WireVerdict;
      if (verdict.kind === 'refuse') return verdict;
      const variants = verdict.variants.map(({ inline, ...draft }) =>
        inline === undefined ? draft : { ...draft, inline: Buffer.from(inline, 'base64') },
      );
      return { ...verdict, variants };
    },
    explain: async (message) => (await ask('/explain', message)) as Explanation,
  };
}
