/** A message as the learners want it: places of its features in the vocabulary. */
export interface Prepared {
  /** 1 for spam. */
  readonly target: 0 | 1;
  readonly places: Int32Array;
  readonly kinds: Uint8Array;
}

/** What speaks from few examples counts less, and nothing for more than this (log odds). */
const DOUBT = 3;
const MOST_ODDS = 4;

/** Log odds of spam for each feature, by how many examples of both classes have it (naive Bayes over presence, shrunk). */
export function bayesWeights(prepared: readonly Prepared[], features: number): Float64Array {
  const weights = new Float64Array(features);
  const counts = [new Uint32Array(features), new Uint32Array(features)] as const;
  const totals: [number, number] = [0, 0];
  for (const { target, places } of prepared) {
    const count = counts[target];
    totals[target] += 1;
    for (const place of places) count[place] = (count[place] as number) + 1;
  }
  const [ham, spam] = totals;
  for (let place = 0; place < features; place++) {
    const inHam = counts[0][place] as number;
    const inSpam = counts[1][place] as number;
    const seen = inHam + inSpam;
    if (seen === 0) continue;
    const odds = Math.log((inSpam + 0.5) / (spam + 1)) - Math.log((inHam + 0.5) / (ham + 1));
    weights[place] = (Math.max(-MOST_ODDS, Math.min(MOST_ODDS, odds)) * seen) / (seen + DOUBT);
  }
  return weights;
}
