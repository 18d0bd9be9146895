/** What each kind of record is given as. */
export interface Records {
  /** Each record as one text, its strings joined. */
  readonly TXT: string;
  readonly A: string;
  readonly AAAA: string;
  readonly MX: { readonly exchange: string; readonly priority: number };
  readonly PTR: string;
}

/**
 * How this package asks DNS. Rejects with Node's codes: ENOTFOUND (the name does not exist) and ENODATA (it has no such
 * record); any other rejection is taken for a failure that may pass.
 */
export type Resolve = <K extends keyof Records>(name: string, kind: K) => Promise<readonly Records[K][]>;

/** Why a question has no answer. */
export type Absence = 'no-name' | 'no-record' | 'temporary';

export function absenceOf(error: unknown): Absence {
  const code = (error as { readonly code?: unknown } | undefined)?.code;
  if (code === 'ENOTFOUND') return 'no-name';
  return code === 'ENODATA' ? 'no-record' : 'temporary';
}

/** A name that no record can be asked for (RFC 1035 §2.3.4): it would look like a failure of DNS. */
export function isAskable(name: string): boolean {
  return name.length > 0 && name.length <= 253 && name.split('.').every((label) => label && label.length <= 63);
}
