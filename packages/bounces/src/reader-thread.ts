import { parseReport } from './parse.js';
import type { Report } from './report.js';

/** What a thread of ReportReader does. */
export default function read(raw: Uint8Array): Promise<Report | undefined> {
  return parseReport(Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength));
}
