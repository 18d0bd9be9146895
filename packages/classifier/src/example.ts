import { type ParsedMail, parseAddresses } from '@waypost/mime';
import { FeatureBag, featuresOf } from './features.js';
import { letterOf, openMail } from './letter.js';
import type { Example } from './trainer.js';

/** An example with what splits and comparisons go by. */
export interface Sample extends Example {
  readonly source: string;
  readonly folder: string;
  /** When it was received, else when it says it was written; milliseconds, 0 where neither is told. */
  readonly at: number;
  /** The smallest hashes of its pairs of words: alike for messages with like texts. */
  readonly sketch: readonly number[];
  readonly octets: number;
}

const SKETCH = 24;
/** Earlier than any mail, and later than this one can be. */
const EARLIEST = Date.UTC(1980, 0);

/** Makes samples; keeps its tables from one to the next. */
export class SampleReader {
  readonly #bag = new FeatureBag();

  read(message: Buffer, about: { source: string; folder: string; spam: boolean }): Sample {
    const mail = openMail(message);
    const bag = featuresOf(letterOf(mail), this.#bag);
    const hashes = bag.hashes.slice(0, bag.size);
    const kinds = bag.kinds.slice(0, bag.size);
    const sketch = hashes.filter((_, at) => PAIRS.has(kinds[at] as number)).sort();
    return {
      ...about,
      hashes,
      kinds,
      sender: senderOf(mail),
      at: timeOf(mail),
      sketch: [...sketch.subarray(0, SKETCH)],
      octets: message.length,
    };
  }
}

/** Kinds of features that sketches are made of: pairs of words, in text and subject. */
const PAIRS = new Set([1, 3]);

function senderOf(mail: ParsedMail): string {
  const [from] = parseAddresses((mail.header('from') ?? '').slice(0, 1_000));
  return (from?.address || from?.name || '').toLowerCase();
}

function timeOf(mail: ParsedMail): number {
  const received = mail.header('received')?.replace(/^.*;/s, '');
  for (const text of [received, mail.header('date')]) {
    const at = Date.parse((text ?? '').replace(/\([^)]*\)/g, '').trim());
    if (at >= EARLIEST && at <= Date.now()) return at;
  }
  return 0;
}
