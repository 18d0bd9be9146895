export type { Scored } from './calibrate.js';
export * from './classify.js';
export * from './corpus.js';
export * from './cost.js';
export * from './evaluate.js';
export * from './example.js';
export { FeatureBag, type Features, featuresOf, KINDS } from './features.js';
export * from './learn.js';
export type { Layer } from './lessons/layer.js';
export { Layers } from './lessons/layers.js';
export {
  type LessonLimits,
  type LessonResult,
  Lessons,
  type SpamClass,
} from './lessons/store.js';
export { type Letter, letterOf, MOST_OCTETS, openMail } from './letter.js';
export * from './measures.js';
export * from './model.js';
export { ModelInForce } from './model-in-force.js';
export * from './split.js';
export { type Example, type TrainOptions, train } from './trainer.js';
