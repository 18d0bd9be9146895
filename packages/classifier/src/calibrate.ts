/** One score, and what the message was. */
export interface Scored {
  readonly score: number;
  readonly spam: boolean;
}

/**
 * Fits 1 / (1 + e^-(slope · score + offset)) to what came of the scores (Platt's method), by Newton's steps, each halved until
 * it is one down.
 */
export function calibrate(scored: readonly Scored[]): { slope: number; offset: number } {
  const spam = scored.filter((one) => one.spam).length;
  // Not quite 0 and 1, so that perfect separation gives no infinite slope.
  const targets = { spam: (spam + 1) / (spam + 2), ham: 1 / (scored.length - spam + 2) };
  const goals = scored.map(({ score, spam: isSpam }) => ({ score, goal: isSpam ? targets.spam : targets.ham }));
  let at = { slope: 1, offset: 0 };
  let loss = lossOf(goals, at);
  for (let step = 0; step < 100; step++) {
    const { slope, offset } = newtonStep(goals, at);
    let part = 1;
    let next = at;
    let nextLoss = Number.POSITIVE_INFINITY;
    for (; part > 1e-6 && !(nextLoss <= loss); part /= 2) {
      next = { slope: at.slope - part * slope, offset: at.offset - part * offset };
      nextLoss = lossOf(goals, next);
    }
    if (!(nextLoss < loss - 1e-9)) break;
    at = next;
    loss = nextLoss;
  }
  return { slope: Number(at.slope.toPrecision(5)), offset: Number(at.offset.toPrecision(5)) };
}

interface Goal {
  readonly score: number;
  readonly goal: number;
}
interface Line {
  readonly slope: number;
  readonly offset: number;
}

/** Cross entropy. */
function lossOf(goals: readonly Goal[], { slope, offset }: Line): number {
  let loss = 0;
  for (const { score, goal } of goals) {
    const odds = slope * score + offset;
    // log(1 + e^odds), without overflow.
    loss += Math.max(odds, 0) + Math.log1p(Math.exp(-Math.abs(odds))) - goal * odds;
  }
  return loss;
}

function newtonStep(goals: readonly Goal[], { slope, offset }: Line): Line {
  let [ga, gb, haa, hab, hbb] = [0, 0, 1e-6, 0, 1e-6];
  for (const { score, goal } of goals) {
    const p = 1 / (1 + Math.exp(-(slope * score + offset)));
    const error = p - goal;
    const bend = p * (1 - p);
    ga += error * score;
    gb += error;
    haa += bend * score * score;
    hab += bend * score;
    hbb += bend;
  }
  const scale = haa * hbb - hab * hab;
  return { slope: (hbb * ga - hab * gb) / scale, offset: (haa * gb - hab * ga) / scale };
}
