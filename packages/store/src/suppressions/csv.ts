import type { Readable } from 'node:stream';
import { isDomain, normaliseAddress } from '@waypost/mail';
import { parse } from 'csv-parse';
import { stringify } from 'csv-stringify';
import type { Suppression, SuppressionStore, SuppressOptions } from './store.js';

const COLUMNS = ['address', 'cause', 'reason', 'at', 'expires', 'tenant'] as const;
/** Entries in one round trip. */
const BATCH = 500;
const LONGEST_RECORD = 4_096;
/** Lines told of that were left out; the others are counted. */
const TOLD = 100;

/** What came of an import. */
export interface ImportResult {
  readonly imported: number;
  readonly skipped: number;
  /** The first of those left out, each with its line in the file. */
  readonly problems: readonly { readonly line: number; readonly message: string }[];
}

/**
 * Reads entries from CSV with a header line; `address` is needed, `cause`, `reason`, `at` and `expires` (ISO 8601) may be
 * there, other columns are passed over. A line that is wrong is left out and told of.
 * @param tenant whose entries they are; everybody's where absent.
 * @throws Error for what is no CSV; what came before it is on the list.
 */
export async function importSuppressions(
  source: Readable,
  store: SuppressionStore,
  options: SuppressOptions & { readonly tenant?: string | undefined },
): Promise<ImportResult> {
  const parser = parse({
    columns: (header: string[]) => header.map((name) => name.trim().toLowerCase()),
    bom: true,
    info: true,
    skip_empty_lines: true,
    trim: true,
    relax_column_count: true,
    max_record_size: LONGEST_RECORD,
  });
  source.on('error', (error) => parser.destroy(error));
  const problems: { line: number; message: string }[] = [];
  let imported = 0;
  let skipped = 0;
  let waiting: { entry: Suppression; line: number }[] = [];
  const leave = (line: number, message: string) => {
    skipped += 1;
    if (problems.length < TOLD) problems.push({ line, message });
  };
  const flush = async () => {
    const batch = waiting;
    waiting = [];
    const answers = await store.putMany(
      batch.map(({ entry }) => entry),
      options,
    );
    answers.forEach((answer, at) => {
      if (answer === 'full') leave(batch[at]?.line ?? 0, 'the list is full (suppressions.max_entries)');
      else imported += 1;
    });
  };
  for await (const { record, info } of source.pipe(parser) as AsyncIterable<Row>) {
    const entry = toEntry(record, options.tenant);
    if (typeof entry === 'string') leave(info.lines, entry);
    else waiting.push({ entry, line: info.lines });
    if (waiting.length >= BATCH) await flush();
  }
  if (waiting.length > 0) await flush();
  return { imported, skipped, problems };
}

interface Row {
  readonly record: Readonly<Record<string, string | undefined>>;
  readonly info: { readonly lines: number };
}

/** @returns the entry, or what is wrong with the line. */
function toEntry(record: Row['record'], tenant: string | undefined): Suppression | string {
  const given = record.address ?? record.email ?? '';
  if (given === '') return 'there is no address; the header line must name a column "address"';
  const address = suppressionAddress(given);
  if (!address) return `"${given.slice(0, 100)}" is no address; write user@example.com, or @example.com for a domain`;
  const at = timeOf(record.at);
  const expires = timeOf(record.expires);
  if (Number.isNaN(at) || Number.isNaN(expires)) return 'a time is not ISO 8601, such as 2030-01-31T12:00:00Z';
  return {
    address,
    cause: record.cause && /^[a-z_]{1,40}$/.test(record.cause) ? record.cause : 'manual',
    at: at ?? Date.now(),
    ...(record.reason ? { reason: record.reason } : {}),
    ...(expires === undefined ? {} : { expires }),
    ...(tenant ? { tenant } : {}),
  };
}

const timeOf = (text: string | undefined) => (text ? Date.parse(text) : undefined);

/** @returns an address, or `@domain`, as the list has it; undefined where it is neither. */
export function suppressionAddress(text: string): string | undefined {
  if (text.startsWith('@')) return isDomain(text.slice(1).toLowerCase()) ? text.toLowerCase() : undefined;
  return normaliseAddress(text)?.toLowerCase();
}

/**
 * Writes the list as CSV, in no order.
 * @param tenant only this tenant's entries; all where absent.
 */
export function exportSuppressions(store: SuppressionStore, tenant?: string): Readable {
  const output = stringify({ header: true, columns: [...COLUMNS], escape_formulas: true });
  const write = async () => {
    for (let cursor = '0', first = true; first || cursor !== '0'; first = false) {
      const page = await store.page(cursor, BATCH);
      for (const { at, expires, ...entry } of page.entries) {
        if (tenant && entry.tenant !== tenant) continue;
        const row = { ...entry, at: iso(at), expires: expires === undefined ? '' : iso(expires) };
        if (!output.write(row)) await new Promise((resolve) => output.once('drain', resolve));
        if (output.destroyed) return;
      }
      cursor = page.cursor;
    }
    output.end();
  };
  write().catch((error: Error) => output.destroy(error));
  return output;
}

const iso = (time: number) => new Date(time).toISOString();
