import { type Lessons as LessonStore, ModelInForce } from '@waypost/classifier';
import type { Config } from '@waypost/config';
import type { Runtime } from '@waypost/runtime';
import type { Request, Response } from 'express';
import type { Credential } from '../ports.js';
import { parse } from './parse.js';
import { busy, invalid, Problem } from './problem.js';
import { lesson, lessonQuery } from './schemas.js';

export interface LessonDeps {
  readonly config: () => Config;
  readonly runtime: Runtime;
  readonly lessons: Pick<LessonStore, 'learn'>;
}

/** The handler of /v1/policy/learn. A key with a tenant teaches for its tenant's mail, another for whom it names, or for all. */
export class Lessons {
  #model: ModelInForce | undefined;

  constructor(private readonly deps: LessonDeps) {}

  /** message/rfc822 with `class` in the query, or JSON with the message in base64. */
  readonly learn = async (request: Request, response: Response) => {
    const mime = Buffer.isBuffer(request.body);
    const input = mime ? { ...parse(lessonQuery, request.query), raw: '' } : parse(lesson, request.body);
    const message = mime ? (request.body as Buffer) : Buffer.from(input.raw, 'base64');
    if (message.length === 0) throw invalid('raw: is empty, or is not base64');
    const own = (response.locals.credential as Credential).tenant;
    if (own !== undefined && input.tenant !== undefined && input.tenant !== own) {
      throw new Problem(403, 'restricted_api_key', "This API key teaches for its own tenant's mail");
    }
    const tenant = own ?? input.tenant;
    const result = await this.deps.lessons
      .learn(message, input.class, { classifier: this.#classifier(), tenant })
      .catch((error: Error) => {
        throw busy('The lesson could not be kept; send it again', error);
      });
    this.deps.runtime.metrics.spamLessons.inc({ class: input.class, result });
    if (result === 'limited') {
      const { per_hour: most } = this.deps.config().classifier.learning;
      throw new Problem(429, 'rate_limit_exceeded', `A tenant may teach ${most} messages an hour`, {
        headers: { 'Retry-After': '3600' },
      });
    }
    response.json({ object: 'lesson', class: input.class, tenant: tenant ?? null, learned: result === 'learned' });
  };

  /** Read at the first lesson: most processes are never taught. */
  #classifier() {
    const { config, runtime } = this.deps;
    this.#model ??= new ModelInForce(
      () => config().classifier.model,
      (error) => runtime.log.error({ error: error.message }, 'the model cannot be read, the old one stays'),
    );
    return this.#model.classifier;
  }
}
