import { readFileSync } from 'node:fs';
import type { ParsedMail } from '@waypost/mime';
import { FeatureBag, featuresOf } from './features.js';
import { type Layer, type Share, shares, taught } from './lessons/layer.js';
import { letterOf } from './letter.js';
import { MOST_TAUGHT } from './limits.js';
import { type Judgement, judge, type Model, probability, readModel } from './model.js';

/** What the classifier says of a message. */
export interface Classification {
  /** Log odds of spam: 0 is undecided, 4.6 is 99 %. */
  readonly score: number;
  /** Probability of spam. */
  readonly probability: number;
  /** What spoke most for the verdict, the strongest first. */
  readonly reasons: readonly string[];
}

/** Reasons given. */
const REASONS = 6;
const LONGEST_REASON = 40;

/** @returns the model that ships with Waypost. */
export function baseModel(): Model {
  return readModel(readFileSync(new URL('../model/base.json', import.meta.url), 'utf8'));
}

/** @throws Error where the file cannot be read or is no model; its text says which file and why. */
export function readModelFile(file: string): Model {
  try {
    return readModel(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new Error(`${file} is no model: ${(error as Error).message}`, { cause: error });
  }
}

/** What lessons go by. */
export interface Examined {
  readonly shares: readonly Share[];
  /** Log odds by the model alone. */
  readonly score: number;
  /** What the message says, as far as it is looked at. */
  readonly text: string;
}

/** Classifies messages by a model and by what was taught; keeps its tables from one to the next. */
export class Classifier {
  readonly #bag = new FeatureBag();

  constructor(private readonly model: Model) {}

  /**
   * Never throws; the cost is bounded whatever the message.
   * @param mail as `openMail` gives it. @param layers what was taught.
   */
  classify(mail: ParsedMail, layers: readonly Layer[] = []): Classification {
    const bag = featuresOf(letterOf(mail), this.#bag);
    const base = judge(this.model, bag);
    const lessons = taught(bag, layers, MOST_TAUGHT);
    const score = base.score + lessons.score;
    const part = (at: number) => base.part(at) + (lessons.parts.get(at) ?? 0);
    return { score, probability: probability(score), reasons: reasonsOf({ score, part }, bag) };
  }

  /** The same for those who learn from it. */
  examine(mail: ParsedMail): Examined {
    const letter = letterOf(mail);
    const features = featuresOf(letter, this.#bag);
    const { score } = judge(this.model, features);
    return { shares: shares(features), score, text: `${letter.subject}\n${letter.text}` };
  }
}

/** The features that gave most to the side that the score is on. */
function reasonsOf({ score, part }: Judgement, bag: FeatureBag): string[] {
  const side = score >= 0 ? 1 : -1;
  const parts = Array.from({ length: bag.size }, (_, at) => ({ at, weight: part(at) * side }));
  const names = parts
    .filter(({ weight }) => weight > 0)
    .sort((one, other) => other.weight - one.weight)
    .slice(0, 3 * REASONS)
    .map(({ at }) => bag.describe(at).slice(0, LONGEST_REASON));
  return [...new Set(names)].slice(0, REASONS);
}
