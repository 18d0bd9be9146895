import { bayesWeights, type Prepared } from './bayes.js';
import { BUCKETS, bucketOf, LEAST_SIZE, type Model } from './model.js';
import { generator, shuffle } from './random.js';

/** A message to learn from, as its features. */
export interface Example {
  readonly spam: boolean;
  readonly hashes: Uint32Array;
  readonly kinds: Uint8Array;
  /** Who wrote it: what only one writer says is no sign of anything. */
  readonly sender: string;
}

export interface TrainOptions {
  readonly seed: number;
  readonly epochs: number;
  readonly rate: number;
  readonly decay: number;
  /** Writers that a feature must have been seen from. */
  readonly senders: number;
  /** Weights kept: the largest. */
  readonly weights: number;
  /** By kind: how much a feature is. */
  readonly kinds: readonly number[];
  /** By kind: how often it is left out of a message while training, so that what is left learns to carry the verdict. */
  readonly drop: readonly number[];
  /**
   * How much of naive Bayes' weights is added to those of the regression. The regression finds what tells these examples
   * apart; Bayes also counts what it found no need of, and is right more often about mail unlike the examples.
   */
  readonly bayes: number;
}

/**
 * Trains a logistic regression (adaptive step sizes, one per weight). The same examples and options give the same model.
 * @returns a model without calibration.
 */
export function train(examples: readonly Example[], options: TrainOptions): Model {
  const { epochs, seed, kinds, drop, bayes } = options;
  const vocabulary = sharedFeatures(examples, options);
  const prepared = examples.map((example) => prepare(example, vocabulary, kinds));
  const learner = new Learner(vocabulary.size, options);
  const random = generator(seed);
  const order = prepared.map((_, at) => at);
  for (let epoch = 0; epoch < epochs; epoch++) {
    shuffle(order, random);
    for (const at of order) {
      const values = kinds.map((value, kind) => (random() < (drop[kind] ?? 0) ? 0 : value));
      learner.learn(prepared[at] as Prepared, values);
    }
  }
  const odds = bayesWeights(prepared, vocabulary.size);
  const weights = learner.weights.map((weight, place) => weight + bayes * (odds[place] as number));
  return quantised(weights, learner.bias, [...vocabulary.keys()], options);
}

class Learner {
  readonly weights: Float64Array;
  bias = 0;
  readonly #squares: Float64Array;
  #biasSquares = 1e-4;

  constructor(
    size: number,
    private readonly options: TrainOptions,
  ) {
    this.weights = new Float64Array(size);
    this.#squares = new Float64Array(size).fill(1e-4);
  }

  learn({ places, kinds, target }: Prepared, values: readonly number[]): void {
    const { weights } = this;
    const { rate, decay } = this.options;
    let squares = LEAST_SIZE;
    let sum = 0;
    for (let at = 0; at < places.length; at++) {
      const value = values[kinds[at] as number] as number;
      squares += value * value;
      sum += (weights[places[at] as number] as number) * value;
    }
    const scale = 1 / Math.sqrt(squares);
    const error = 1 / (1 + Math.exp(-(this.bias + sum * scale))) - target;
    this.#biasSquares += error * error;
    this.bias -= (rate * error) / Math.sqrt(this.#biasSquares);
    for (let at = 0; at < places.length; at++) {
      const value = values[kinds[at] as number] as number;
      if (value === 0) continue;
      const place = places[at] as number;
      const slope = error * value * scale + decay * (weights[place] as number);
      const total = (this.#squares[place] as number) + slope * slope;
      this.#squares[place] = total;
      weights[place] = (weights[place] as number) - (rate * slope) / Math.sqrt(total);
    }
  }
}

/** The buckets whose features several writers used, each with its place among them. */
type Vocabulary = ReadonlyMap<number, number>;

function sharedFeatures(examples: readonly Example[], { senders, kinds }: TrainOptions): Vocabulary {
  const seen = new Map<number, Set<string>>();
  const vocabulary = new Map<number, number>();
  for (const { hashes, kinds: of, sender } of examples) {
    for (let at = 0; at < hashes.length; at++) {
      const bucket = bucketOf(hashes[at] as number);
      if (vocabulary.has(bucket) || (kinds[of[at] as number] ?? 0) === 0) continue;
      const writers = seen.get(bucket) ?? new Set();
      seen.set(bucket, writers.add(sender));
      if (writers.size < senders) continue;
      vocabulary.set(bucket, vocabulary.size);
      seen.delete(bucket);
    }
  }
  return vocabulary;
}

function prepare({ spam, hashes, kinds: of }: Example, vocabulary: Vocabulary, kinds: readonly number[]): Prepared {
  const places: number[] = [];
  const kept: number[] = [];
  for (let at = 0; at < hashes.length; at++) {
    const kind = of[at] as number;
    const place = vocabulary.get(bucketOf(hashes[at] as number));
    if (place === undefined || (kinds[kind] ?? 0) === 0) continue;
    places.push(place);
    kept.push(kind);
  }
  return { target: spam ? 1 : 0, places: Int32Array.from(places), kinds: Uint8Array.from(kept) };
}

/** Keeps the largest weights, in 8 bits each. */
function quantised(found: Float64Array, bias: number, buckets: readonly number[], options: TrainOptions): Model {
  const sizes = found.map(Math.abs).sort();
  const least = sizes[Math.max(0, sizes.length - options.weights)] ?? 0;
  // Few weights are far out; what they lose by being cut helps the precision of all others.
  const top = sizes[Math.floor(sizes.length * 0.9995)] ?? 1;
  const step = Number((top / 127).toPrecision(6)) || 1;
  const weights = new Int8Array(BUCKETS);
  for (const [place, bucket] of buckets.entries()) {
    const weight = found[place] as number;
    if (Math.abs(weight) >= least) weights[bucket] = Math.max(-127, Math.min(127, Math.round(weight / step)));
  }
  const kinds = Float64Array.from(options.kinds);
  return { weights, kinds, bias: Number(bias.toPrecision(6)), step, slope: 1, offset: 0 };
}
