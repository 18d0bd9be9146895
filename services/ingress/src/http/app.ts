import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import { type EmailDeps, Emails } from './emails.js';
import { type GuardDeps, guard } from './guard.js';
import { type LessonDeps, Lessons } from './lessons.js';
import { openApiDocument } from './openapi.js';
import { addPolicyCheck, type PolicyCheckDeps } from './policy-check.js';
import { Problem } from './problem.js';
import { type SuppressionDeps, Suppressions } from './suppressions.js';

export interface HttpDeps extends EmailDeps, GuardDeps, LessonDeps, SuppressionDeps, PolicyCheckDeps {
  readonly version: string;
}

const ROUTES = [
  '/v1/emails',
  '/v1/emails/batch',
  '/v1/emails/raw',
  '/v1/emails/:id',
  '/v1/emails/:id/events',
  '/v1/emails/:id/cancel',
  '/v1/policy/learn',
  '/v1/policy/check',
  '/v1/suppressions',
  '/v1/suppressions/import',
  '/v1/suppressions/export',
  '/v1/suppressions/:address',
];

/** The HTTP API as an Express application. */
export function createHttpApp(deps: HttpDeps): Express {
  const app = express();
  const { config } = deps;
  app.disable('x-powered-by').disable('etag').set('query parser', 'simple');
  app.set('trust proxy', config().http.trust_proxy);
  app.use(measure(deps));
  const emails = new Emails(deps);
  const send = guard('send', deps);
  const read = guard('read', deps);
  // Compressed bodies would be counted at a fraction of what they take in memory.
  const plain = { limit: config().http.body_limit, strict: false, inflate: false };
  const json = [mustBe('application/json'), express.json(plain)];
  const raw = [
    mustBe('application/json', 'message/rfc822'),
    express.raw({ ...plain, type: 'message/rfc822' }),
    express.json(plain),
  ];
  app.post('/v1/emails', send, json, emails.send);
  app.post('/v1/emails/batch', send, json, emails.batch);
  app.post('/v1/emails/raw', send, raw, emails.raw);
  app.get('/v1/emails/:id', read, emails.get);
  app.get('/v1/emails/:id/events', read, emails.events);
  app.post('/v1/emails/:id/cancel', send, emails.cancel);
  app.post('/v1/policy/learn', guard('admin', deps), raw, new Lessons(deps).learn);
  addSuppressions(app, deps, [mustBe('application/json'), express.json(plain)]);
  addPolicyCheck(app, guard('admin', deps), deps);
  app.all(ROUTES, (request) => {
    throw new Problem(405, 'method_not_allowed', `${request.method} is not possible here`);
  });
  addReference(app, deps.version);
  app.use((request) => {
    throw new Problem(404, 'not_found', `There is nothing at ${request.path}; see /docs`);
  });
  app.use(answerErrors(deps));
  return app;
}

function addSuppressions(app: Express, deps: HttpDeps, json: RequestHandler[]): void {
  const suppressions = new Suppressions(deps);
  const read = guard('read', deps);
  const admin = guard('admin', deps);
  app.get('/v1/suppressions', read, suppressions.list);
  app.post('/v1/suppressions', admin, json, suppressions.add);
  app.post('/v1/suppressions/import', admin, mustBe('text/csv'), suppressions.import);
  app.get('/v1/suppressions/export', read, suppressions.export);
  app.get('/v1/suppressions/:address', read, suppressions.get);
  app.delete('/v1/suppressions/:address', admin, suppressions.remove);
}

function mustBe(...types: string[]): RequestHandler {
  return (request, _response, next) => {
    if (!request.is(types))
      throw new Problem(415, 'unsupported_media_type', `Content-Type must be ${types.join(' or ')}`);
    next();
  };
}

function measure({ runtime }: HttpDeps): RequestHandler {
  return (request, response, next) => {
    const started = performance.now();
    response.once('finish', () => {
      const route = String(request.route?.path ?? 'other');
      const labels = { route: Array.isArray(request.route?.path) ? 'other' : route };
      runtime.metrics.httpRequests.inc({ ...labels, method: request.method, status: String(response.statusCode) });
      runtime.metrics.httpSeconds.observe(labels, (performance.now() - started) / 1000);
    });
    next();
  };
}

/** The reference page, all from here: nothing is loaded from elsewhere. */
function addReference(app: Express, version: string): void {
  const document = JSON.stringify(openApiDocument(version));
  const assets = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
  const page = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Waypost API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css"></head><body><div id="ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>`;
  const policy =
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'";
  app.get('/v1/openapi.json', (_request, response) => void response.type('json').send(document));
  app.get(
    '/docs',
    (_request, response) => void response.set('Content-Security-Policy', policy).type('html').send(page),
  );
  app.get('/docs/start.js', (_request, response) => {
    response.type('js').send("SwaggerUIBundle({ url: '/v1/openapi.json', dom_id: '#ui' });");
  });
  app.use('/docs', express.static(assets, { index: false }));
}

function answerErrors({ runtime }: HttpDeps): ErrorRequestHandler {
  return (error, _request, response, _next) => {
    const problem = toProblem(error);
    if (problem.status >= 500) runtime.log.warn({ error: (error as Error).message }, 'an HTTP request failed');
    if (response.headersSent) return void response.destroy();
    response.status(problem.status).set(problem.extra.headers ?? {});
    response.type('application/problem+json').send(JSON.stringify(problem));
  };
}

function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const { type, status, limit } = error as { type?: string; status?: number; limit?: number };
  if (type === 'entity.parse.failed') return new Problem(400, 'invalid_json', 'The body is not valid JSON');
  if (type === 'entity.too.large')
    return new Problem(413, 'validation_error', `The body is larger than ${limit} octets`);
  if (status && status >= 400 && status < 500) return new Problem(status, 'bad_request', (error as Error).message);
  return new Problem(503, 'service_unavailable', 'Something went wrong here; try again later', {
    headers: { 'Retry-After': '5' },
  });
}
