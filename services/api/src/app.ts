import type { Bans } from '@waypost/abuse';
import type { PolicyQueue } from '@waypost/queue';
import type { RedisHandle } from '@waypost/redis';
import type { Runtime } from '@waypost/runtime';
import { type HeldMail, type KeyStore, SinkStore } from '@waypost/store';
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import { simpleParser } from 'mailparser';
import { addBanRoutes } from './bans.js';
import { addHabitRoutes } from './habits.js';
import { addHeldRoutes, type HeldRouteDeps } from './held/routes.js';
import { escapeHtml, PAGE_POLICY, page, table } from './page.js';
import type { ActionDeps } from './queue/actions.js';
import { queueDepths } from './queue/depths.js';
import { InputError } from './queue/input.js';
import { addQueueRoutes } from './queue/routes.js';

export interface ApiAppDeps extends Omit<ActionDeps, 'executor'> {
  readonly runtime: Runtime;
  readonly redis: RedisHandle;
  readonly queue: PolicyQueue;
  readonly keys: KeyStore;
  readonly held: HeldMail;
  readonly learn?: HeldRouteDeps['learn'];
  readonly abuse: { readonly bans: Bans };
  /** Whether requests from this machine need no key. */
  readonly openOnLoopback: boolean;
}

/** The admin API and a few pages to read caught mail and queues by. */
export function createApiApp(deps: ApiAppDeps): Express {
  const app = express();
  const { group } = deps.redis;
  const sink = new SinkStore(group);
  app.disable('x-powered-by');
  app.use((_request, response, next) => {
    response.set({
      'Content-Security-Policy': PAGE_POLICY,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
    });
    next();
  });
  app.use(fromHereOrAdmin(deps));
  app.get('/', async (_request, response) => {
    const rows = (await sink.list()).map((mail) => [
      new Date(mail.at).toISOString(),
      { html: `<a href="/caught/${encodeURIComponent(mail.key)}">${escapeHtml(mail.sender || '<>')}</a>` },
      mail.recipients.slice(0, 3).join(', ') +
        (mail.recipients.length > 3 ? ` and ${mail.recipients.length - 3} more` : ''),
    ]);
    const none = rows.length === 0 ? '<p class="dim">Nothing was caught yet.</p>' : '';
    response.send(page('Caught mail', `<h2>Caught mail</h2>${table(['When', 'From', 'To'], rows)}${none}`));
  });
  app.get('/caught/:key', async (request, response) => {
    const raw = await sink.raw(String(request.params.key));
    if (!raw) return void response.status(404).send(page('Not here', '<p>That message is not kept any more.</p>'));
    response.send(await mailPage(String(request.params.key), raw));
  });
  app.get('/caught/:key/html', async (request, response) => {
    const raw = await sink.raw(String(request.params.key));
    const { html } = raw ? await simpleParser(raw) : { html: '' };
    response.set('Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox");
    response.type('html').send(html || '');
  });
  app.get('/queues', async (_request, response) => {
    const rows = (await queueDepths(group, deps.queue)).map(({ name, waiting, active, delayed }) => [
      name,
      waiting,
      active,
      delayed,
    ]);
    response.send(page('Queues', `<h2>Queues</h2>${table(['Queue', 'Waiting', 'Active', 'Delayed'], rows)}`));
  });
  app.get(
    '/admin/v1/queues',
    async (_request, response) => void response.json({ data: await queueDepths(group, deps.queue) }),
  );
  app.get('/admin/v1/caught', async (_request, response) => void response.json({ data: await sink.list(500) }));
  app.get('/admin/v1/messages/:id', async (request, response) => {
    const record = await deps.store.read(String(request.params.id));
    if (!record) return void response.status(404).json({ detail: 'There is no message of that id' });
    response.json(record);
  });
  addQueueRoutes(app, { ...deps, executor: group });
  addHeldRoutes(app, { ...deps, executor: group });
  addBanRoutes(app, { ...deps, executor: group });
  addHabitRoutes(app, { executor: group });
  app.use(answerErrors(deps.runtime));
  return app;
}

async function mailPage(key: string, raw: Buffer): Promise<string> {
  const mail = await simpleParser(raw);
  const head = raw.subarray(0, Math.max(0, raw.indexOf('\r\n\r\n'))).toString('utf8');
  const attached = mail.attachments.map((one) => [one.filename ?? '(no name)', one.contentType, one.size]);
  const parts = [
    `<h2>${escapeHtml(mail.subject ?? '(no subject)')}</h2>`,
    mail.html ? `<iframe sandbox src="/caught/${encodeURIComponent(key)}/html" title="HTML part"></iframe>` : '',
    mail.text ? `<h2>Text</h2><pre>${escapeHtml(mail.text)}</pre>` : '',
    attached.length > 0 ? `<h2>Attachments</h2>${table(['Name', 'Type', 'Octets'], attached)}` : '',
    `<h2>Header</h2><pre>${escapeHtml(head)}</pre>`,
  ];
  return page(mail.subject ?? 'Message', parts.join(''));
}

/** Which proxies add; what has one comes from elsewhere. */
const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip', 'via'];

/**
 * Where the configuration says so, requests from this machine need no key: by its name or address alone, so that no other
 * site can reach it through a browser, and not through a proxy.
 */
function fromHereOrAdmin({ keys, abuse, openOnLoopback }: ApiAppDeps): RequestHandler {
  return async (request, response, next) => {
    const here = openOnLoopback && /^(::ffff:)?127\.|^::1$/.test(request.socket.remoteAddress ?? '');
    const direct = !FORWARDED.some((name) => request.headers[name] !== undefined);
    if (here && direct && /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(request.get('host') ?? '')) return next();
    const secret = /^Bearer\s+(\S+)$/i.exec(request.get('authorization') ?? '')?.[1];
    const remoteAddress = request.socket.remoteAddress;
    const banned = abuse.bans.find(remoteAddress) !== undefined;
    const key =
      secret && !banned
        ? await keys.authenticate({ password: secret, ...(remoteAddress ? { remoteAddress } : {}) })
        : undefined;
    if (key?.scopes.includes('admin')) {
      response.locals.by = key.id;
      return next();
    }
    if (secret && !key && !banned) abuse.bans.offend(remoteAddress, 'auth');
    response.status(401).set('WWW-Authenticate', 'Bearer').json({ detail: 'Send an API key with the scope "admin"' });
  };
}

function answerErrors(runtime: Runtime): ErrorRequestHandler {
  return (error: Error, _request, response, _next) => {
    if (response.headersSent) return void response.destroy();
    const { status, message } = error as Error & { status?: number };
    const known = error instanceof InputError ? 422 : status && status < 500 ? status : undefined;
    if (known) return void response.status(known).json({ detail: message });
    runtime.log.warn({ error: error.message }, 'an admin request failed');
    response.status(503).json({ detail: 'Not available now; try again later' });
  };
}
