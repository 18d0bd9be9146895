import { Classifier } from './classify.js';
import { openMail } from './letter.js';
import type { Model } from './model.js';

/** What classification costs, parse included. */
export interface Cost {
  readonly messages: number;
  /** Octets of a message, on average. */
  readonly octets: number;
  /** Milliseconds of CPU of this process for a message, on average. */
  readonly cpu: number;
}

/** Measures the CPU time of classifying these messages, after a round that is not counted. */
export function costOf(model: Model, messages: readonly Buffer[]): Cost {
  const classifier = new Classifier(model);
  const round = () => {
    for (const message of messages) classifier.classify(openMail(message));
  };
  round();
  const before = process.cpuUsage();
  round();
  const { user, system } = process.cpuUsage(before);
  const octets = messages.reduce((sum, { length }) => sum + length, 0) / messages.length;
  return { messages: messages.length, octets, cpu: (user + system) / 1_000 / messages.length };
}
