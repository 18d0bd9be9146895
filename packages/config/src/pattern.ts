import { RE2JS } from 're2js';
import { z } from 'zod';

/** A pattern that was compiled. */
export interface Pattern {
  /** @returns whether it is found in the text, anywhere; time is linear in the text's length. */
  test(text: string): boolean;
}

const LONGEST = 1000;
/** Instructions of the compiled pattern; repetitions of repetitions grow without end. */
const PROGRAM = 10_000;

/**
 * Compiles a regular expression in RE2's syntax: there is no look-around and no back-reference, and none can take more than
 * linear time. Case does not matter unless it says `(?-i)`.
 * @throws Error that says what is wrong with it.
 */
export function compilePattern(text: string): Pattern {
  if (text.length > LONGEST) throw new Error(`is longer than ${LONGEST} characters`);
  const pattern = RE2JS.compile(text, RE2JS.CASE_INSENSITIVE);
  if (pattern.programSize() > PROGRAM) throw new Error('is too large; repeat less in it');
  return pattern;
}

/** A regular expression, kept as text. */
export const regex = z
  .string()
  .min(1)
  .superRefine((text, ctx) => {
    try {
      compilePattern(text);
    } catch (error) {
      ctx.addIssue({ code: 'custom', message: `"${text.slice(0, 80)}": ${(error as Error).message}` });
    }
  });
