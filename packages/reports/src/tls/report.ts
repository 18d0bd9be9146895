import type { TlsFailureType, TlsPolicy } from '@waypost/transport-security';
import { rangeOf } from '../subject.js';

/** Failures that are alike, and how many there were. */
export interface TlsFailureDetail {
  readonly type: TlsFailureType;
  readonly sendingAddress?: string;
  readonly mx?: string;
  readonly receivingAddress?: string;
  readonly reason?: string;
  readonly count: number;
}

/** How a day's sessions under one policy went. */
export interface TlsPolicySummary {
  readonly policy: TlsPolicy;
  readonly successes: number;
  readonly failures: readonly TlsFailureDetail[];
}

export interface TlsReportFacts {
  readonly id: string;
  readonly organization: string;
  readonly contact: string;
  /** UTC, `2026-11-25`. */
  readonly day: string;
  readonly policies: readonly TlsPolicySummary[];
}

/** @returns the report as RFC 8460 §4.4 has it, to be written as JSON. */
export function buildTlsReport({ id, organization, contact, day, policies }: TlsReportFacts) {
  const { start, end } = rangeOf(day);
  return {
    'organization-name': organization,
    'date-range': { 'start-datetime': timestamp(start), 'end-datetime': timestamp(end - 1000) },
    'contact-info': contact,
    'report-id': id,
    policies: policies.map(({ policy, successes, failures }) => ({
      policy: {
        'policy-type': policy.type,
        ...(policy.strings ? { 'policy-string': policy.strings } : {}),
        'policy-domain': policy.domain,
        ...(policy.mxHosts ? { 'mx-host': policy.mxHosts } : {}),
      },
      summary: {
        'total-successful-session-count': successes,
        'total-failure-session-count': failures.reduce((sum, { count }) => sum + count, 0),
      },
      ...(failures.length > 0 ? { 'failure-details': failures.map(toDetail) } : {}),
    })),
  };
}

const timestamp = (at: number) => new Date(at).toISOString().replace('.000Z', 'Z');

function toDetail({ type, sendingAddress, mx, receivingAddress, reason, count }: TlsFailureDetail) {
  return {
    'result-type': type,
    ...(sendingAddress ? { 'sending-mta-ip': sendingAddress } : {}),
    ...(mx ? { 'receiving-mx-hostname': mx } : {}),
    ...(receivingAddress ? { 'receiving-ip': receivingAddress } : {}),
    'failed-session-count': count,
    ...(reason ? { 'failure-reason-code': reason } : {}),
  };
}
