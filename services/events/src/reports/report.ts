import type { Command } from '@waypost/redis';
import type { ReportKindName, ReportSubject } from '@waypost/reports';

/** A report that is ready to go out. */
export interface Report {
  /** The same at each try, so that who gets it twice can tell. */
  readonly id: string;
  /** Where it is wanted: `mailto:` and `https:` URIs. What is neither is passed over. */
  readonly to: readonly string[];
  /** In ASCII. */
  readonly subject: string;
  /** Header fields beside the usual ones, as `[name, value]`; in ASCII. */
  readonly headers?: readonly (readonly [string, string])[];
  /** Makes the mail a multipart/report of this type; multipart/mixed where absent. */
  readonly reportType?: string;
  /** For people. */
  readonly text: string;
  /** What is attached to a mail, and what is uploaded. */
  readonly file: { readonly name: string; readonly type: string; readonly content: Buffer };
  /** It is to arrive although TLS fails: the mail says so by "TLS-Required: No" (RFC 8689 §5). */
  readonly tlsOptional?: boolean;
}

/**
 * One kind of daily report. Collecting is its own affair: with the data of a day and domain it runs `noteDue`, and from then on
 * the report is asked for here, once its time has come.
 */
export interface ReportKind {
  readonly name: ReportKindName;
  /**
   * Makes a report of what was collected; the same again at a later try, whichever process makes it.
   * @returns undefined where there is nothing to say, or nobody who wants it.
   * @throws what is only for now, such as a failure of DNS: the report is tried again.
   */
  make(subject: ReportSubject): Promise<Report | undefined>;
  /** @returns the commands that drop what was collected. */
  forget(subject: ReportSubject): Command[];
}
