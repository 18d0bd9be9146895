import { type Features, KINDS } from './features.js';

/** Buckets are the lower bits of a feature's hash: 4 MiB of weights in memory, and few strangers in a bucket that counts. */
export const BUCKET_BITS = 22;
export const BUCKETS = 2 ** BUCKET_BITS;
const MASK = BUCKETS - 1;
/** Raised when features are named or counted otherwise: weights of other features mean nothing. */
const FORMAT = 1;
/** Of a message with few features each would weigh much. */
export const LEAST_SIZE = 10;

/** What a model file holds; all of it is text, so that a change shows where it is reviewed. */
interface ModelFile {
  readonly format: number;
  readonly kinds: Readonly<Record<string, number>>;
  readonly bias: number;
  /** What one step of a weight is. */
  readonly step: number;
  /** Probability of spam = 1 / (1 + e^-(slope · score + offset)). */
  readonly slope: number;
  readonly offset: number;
  readonly weights: number;
  /** Distances between buckets (variable length) and then the weights (one octet each), base64. */
  readonly buckets: string;
  readonly values: string;
}

/** A linear model over hashed features. */
export interface Model {
  /** A step each; 0 where the bucket has no weight. */
  readonly weights: Int8Array;
  /** How much a feature of each kind is. */
  readonly kinds: Float64Array;
  readonly bias: number;
  readonly step: number;
  readonly slope: number;
  readonly offset: number;
}

/** What a model thinks of a message. */
export interface Judgement {
  /** Log odds of spam, calibrated: 0 is undecided, 4.6 is 99 %. */
  readonly score: number;
  /** What one of the features gives to the score. */
  part(at: number): number;
}

export const bucketOf = (hash: number) => hash & MASK;

/** Judges a message by its features. */
export function judge(model: Model, features: Features): Judgement {
  const { weights, kinds, bias, step, slope, offset } = model;
  const { hashes, kinds: of, size } = features;
  let squares = LEAST_SIZE;
  let sum = 0;
  for (let at = 0; at < size; at++) {
    const weight = weights[(hashes[at] as number) & MASK] as number;
    if (weight === 0) continue;
    const value = kinds[of[at] as number] as number;
    squares += value * value;
    sum += weight * value;
  }
  const scale = (step * slope) / Math.sqrt(squares);
  return {
    score: sum * scale + bias * slope + offset,
    part: (at) => (weights[(hashes[at] as number) & MASK] as number) * (kinds[of[at] as number] as number) * scale,
  };
}

export const probability = (score: number) => 1 / (1 + Math.exp(-score));

/** @returns the text of a model file: the same for the same model, octet for octet. */
export function writeModel(model: Model): string {
  const buckets: number[] = [];
  const values: number[] = [];
  let last = 0;
  for (let bucket = 0; bucket < model.weights.length; bucket++) {
    const weight = model.weights[bucket] as number;
    if (weight === 0) continue;
    let distance = bucket - last;
    last = bucket;
    for (; distance >= 0x80; distance >>>= 7) buckets.push((distance & 0x7f) | 0x80);
    buckets.push(distance);
    values.push(weight & 0xff);
  }
  const kinds = Object.fromEntries(KINDS.map((kind, at) => [kind, model.kinds[at] ?? 0]));
  const { bias, step, slope, offset } = model;
  const file: ModelFile = {
    format: FORMAT,
    kinds,
    bias,
    step,
    slope,
    offset,
    weights: values.length,
    buckets: Buffer.from(buckets).toString('base64'),
    values: Buffer.from(values).toString('base64'),
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

/**
 * Reads a model file.
 * @throws Error with a sentence that says what is wrong with it.
 */
export function readModel(text: string): Model {
  const file = JSON.parse(text) as Partial<ModelFile>;
  if (file.format !== FORMAT) throw new Error(`a model of format ${FORMAT} is needed, this one has ${file.format}`);
  const numbers = [file.bias, file.step, file.slope, file.offset, file.weights];
  if (!numbers.every(Number.isFinite) || !file.kinds) throw new Error('the model is incomplete');
  const weights = new Int8Array(BUCKETS);
  const buckets = Buffer.from(file.buckets ?? '', 'base64');
  const values = Buffer.from(file.values ?? '', 'base64');
  if (values.length !== file.weights) throw new Error('the model is cut short');
  let bucket = 0;
  let at = 0;
  for (const value of values) {
    let shift = 0;
    let octet: number;
    do {
      octet = buckets[at++] ?? 0;
      bucket += (octet & 0x7f) * 2 ** shift;
      shift += 7;
    } while (octet >= 0x80 && shift < 28);
    if (bucket >= BUCKETS || at > buckets.length) throw new Error('the model names buckets that there are not');
    weights[bucket] = (value << 24) >> 24;
  }
  const kinds = Float64Array.from(KINDS, (kind) => Number(file.kinds?.[kind] ?? 0));
  const { bias = 0, step = 1, slope = 1, offset = 0 } = file;
  return { weights, kinds, bias, step, slope, offset };
}
