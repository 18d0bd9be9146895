import { type AuthConfig, Networks } from '@waypost/config';
import { type AuthFindings, type DmarcPolicy, vouchedBy } from '@waypost/msgauth';
import { PASS, type Verdict } from '../check.js';

/** Why a policy was not applied as published (RFC 7489 §6.6.4, appendix C). */
export interface Override {
  readonly type: 'sampled_out' | 'trusted_forwarder' | 'mailing_list' | 'local_policy';
  readonly comment?: string;
}

/** What was done about a message's DMARC result. */
export interface Applied {
  readonly verdict: Verdict;
  /** What the message was dealt with as. */
  readonly disposition: DmarcPolicy;
  readonly overrides: readonly Override[];
  /** Value of the tag `dmarc`. */
  readonly tag?: 'quarantine' | 'reject';
}

/** Decides what becomes of a message by its author's policy, the settings, and who vouches for it. */
export function applyDmarc(found: AuthFindings, remoteAddress: string, auth: AuthConfig): Applied {
  const { dmarc } = found;
  if (dmarc.result === 'temperror' && auth.on_temperror === 'defer') {
    return {
      verdict: { kind: 'defer', reason: 'DMARC of the author domain cannot be checked for now' },
      disposition: 'none',
      overrides: [],
    };
  }
  const sampled: Override[] = dmarc.sampledOut ? [{ type: 'sampled_out' }] : [];
  const asked = dmarc.result === 'fail' ? dmarc.disposition : 'none';
  if (asked === 'none') return { verdict: PASS, disposition: 'none', overrides: sampled };
  const override = overrideOf(found, remoteAddress, auth);
  if (override) return { verdict: PASS, disposition: 'none', overrides: [...sampled, override] };
  const action = asked === 'reject' ? auth.dmarc.on_reject : auth.dmarc.on_quarantine;
  const reason = `DMARC policy of ${dmarc.domain} is to ${asked} what is not authenticated as its own`;
  if (action === 'reject') {
    // RFC 7372 §3.4.
    const reply = { code: 550, enhanced: '5.7.26', text: reason };
    return { verdict: { kind: 'reject', reply }, disposition: 'reject', overrides: sampled };
  }
  const disposition = action === 'nothing' ? 'none' : 'quarantine';
  const local: Override[] = disposition === asked ? [] : [{ type: 'local_policy', comment: `${asked} is not applied` }];
  return {
    verdict: action === 'hold' ? { kind: 'hold', reason } : PASS,
    disposition,
    overrides: [...sampled, ...local],
    ...(action === 'tag' ? { tag: asked } : {}),
  };
}

/** Those who pass mail on break what it is authenticated by, and mean no harm. */
function overrideOf({ arc, spf, dmarc }: AuthFindings, remoteAddress: string, auth: AuthConfig): Override | undefined {
  const { trusted_forwarders, mailing_lists, trusted_sealers } = auth.dmarc;
  if (trusted_forwarders.length > 0 && new Networks(trusted_forwarders).has(remoteAddress)) {
    return { type: 'trusted_forwarder' };
  }
  const lists = mailing_lists.map((domain) => domain.toLowerCase());
  if (spf.result === 'pass' && lists.some((list) => spf.domain === list || spf.domain.endsWith(`.${list}`))) {
    return { type: 'mailing_list', comment: spf.domain };
  }
  const sealers = new Set(trusted_sealers.map((domain) => domain.toLowerCase()));
  const sealer = vouchedBy(arc, sealers, dmarc.domain);
  if (!sealer) return undefined;
  // RFC 8617 §7.2.2.
  const seals = arc.sealers.map(
    ({ instance, domain, selector }) => `as[${instance}].d=${domain} as[${instance}].s=${selector}`,
  );
  return { type: 'local_policy', comment: `arc=pass ${seals.join(' ')}`.slice(0, 500) };
}
