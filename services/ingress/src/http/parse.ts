import type { z } from 'zod';
import { invalid } from './problem.js';

/** @throws Problem 422 with every field that is wrong; unknown fields are. */
export function parse<T extends z.ZodType>(schema: T, input: unknown): z.output<T> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.map((issue) => ({ path: issue.path.join('.'), message: issue.message }));
  throw invalid(errors.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join('; '), errors);
}
