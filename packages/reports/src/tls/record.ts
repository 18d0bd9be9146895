/** URIs that are looked at of one record. */
const MOST = 10;

/**
 * Reads the TXT records of `_smtp._tls.<domain>` (RFC 8460 §3).
 * @returns where the domain wants its reports: `mailto:` and `https:` URIs; none where there is not exactly one record that can
 *   be read.
 */
export function parseTlsRptRecord(texts: readonly string[]): string[] {
  const records = texts.filter((text) => /^v=TLSRPTv1\s*(?:;|$)/.test(text));
  const [only] = records;
  if (only === undefined || records.length > 1) return [];
  const fields = only.split(';').map((field) => field.trim());
  const rua = fields.find((field) => /^rua\s*=/.test(field));
  const places = rua?.replace(/^rua\s*=/, '').split(',') ?? [];
  return places
    .map((place) => place.trim())
    .filter((place) => /^(?:mailto:|https:\/\/)[\x21-\x7e]{1,2000}$/i.test(place))
    .slice(0, MOST);
}
