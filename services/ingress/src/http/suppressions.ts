import type { Config } from '@waypost/config';
import {
  exportSuppressions,
  importSuppressions,
  type Suppression,
  type SuppressionStore,
  suppressionAddress,
} from '@waypost/store';
import type { Request, Response } from 'express';
import type { Credential } from '../ports.js';
import { parse } from './parse.js';
import { busy, invalid, Problem } from './problem.js';
import { newSuppression, suppressionQuery } from './schemas.js';

export interface SuppressionDeps {
  readonly config: () => Config;
  readonly suppressions: SuppressionStore;
}

/** Entries that one page looks at; with many of other tenants it shows fewer. */
const PAGE = 100;

/** The handlers of /v1/suppressions. A key with a tenant sees and changes that tenant's entries, others those for everybody. */
export class Suppressions {
  constructor(private readonly deps: SuppressionDeps) {}

  readonly list = async (request: Request, response: Response) => {
    const { cursor = '0', limit = PAGE, cause } = parse(suppressionQuery, request.query);
    const tenant = tenantOf(response);
    const data: Suppression[] = [];
    let next = cursor;
    do {
      const page = await this.deps.suppressions.page(next, limit);
      data.push(
        ...page.entries.filter((entry) => (!tenant || entry.tenant === tenant) && (!cause || entry.cause === cause)),
      );
      next = page.cursor;
    } while (next !== '0' && data.length === 0);
    response.json({ object: 'list', data: data.map(show), next_cursor: next === '0' ? null : next });
  };

  readonly get = async (request: Request, response: Response) => {
    const found = await this.deps.suppressions.get(addressOf(request), tenantOf(response));
    if (!found) throw notThere();
    response.json(show(found));
  };

  readonly add = async (request: Request, response: Response) => {
    const { address, reason, expires_at } = parse(newSuppression, request.body);
    const normal = suppressionAddress(address);
    if (!normal) throw invalid(`address: "${address}" is no address; write user@example.com, or @example.com`);
    const tenant = tenantOf(response);
    const entry: Suppression = {
      address: normal,
      cause: 'manual',
      at: Date.now(),
      ...(reason ? { reason } : {}),
      ...(expires_at ? { expires: Date.parse(expires_at) } : {}),
      ...(tenant ? { tenant } : {}),
    };
    const { max_entries: maxEntries } = this.deps.config().suppressions;
    const answer = await this.deps.suppressions.put(entry, { maxEntries, replace: true });
    if (answer === 'full') {
      throw new Problem(409, 'suppressions_full', `The list holds ${maxEntries} entries (suppressions.max_entries)`);
    }
    response.status(201).json(show(entry));
  };

  readonly remove = async (request: Request, response: Response) => {
    if (!(await this.deps.suppressions.remove(addressOf(request), tenantOf(response)))) throw notThere();
    response.status(204).end();
  };

  /** Reads CSV as it comes. */
  readonly import = async (request: Request, response: Response) => {
    const { suppressions, http } = this.deps.config();
    let octets = 0;
    request.on('data', (chunk: Buffer) => {
      octets += chunk.length;
      if (octets > http.body_limit) request.destroy(new Error(`the file is larger than ${http.body_limit} octets`));
    });
    const options = { maxEntries: suppressions.max_entries, replace: true, tenant: tenantOf(response) };
    const result = await importSuppressions(request, this.deps.suppressions, options).catch((error: Error) => {
      if ('code' in error && String(error.code).startsWith('CSV_'))
        throw invalid(`The CSV cannot be read: ${error.message}`);
      throw busy('The import was cut short; send the file again, what was taken stays', error);
    });
    response.json({ object: 'import', ...result });
  };

  readonly export = (_request: Request, response: Response) => {
    response.type('text/csv').attachment('suppressions.csv');
    const stream = exportSuppressions(this.deps.suppressions, tenantOf(response));
    stream.on('error', () => response.destroy());
    response.on('close', () => stream.destroy());
    stream.pipe(response);
  };
}

const tenantOf = (response: Response) => (response.locals.credential as Credential).tenant;
const notThere = () => new Problem(404, 'not_found', 'That address is not on the list');

function addressOf(request: Request): string {
  const address = suppressionAddress(String(request.params.address));
  if (!address) throw notThere();
  return address;
}

function show({ address, cause, reason, message, tenant, at, expires }: Suppression) {
  return {
    object: 'suppression',
    address,
    cause,
    reason: reason ?? null,
    email_id: message ?? null,
    tenant: tenant ?? null,
    created_at: new Date(at).toISOString(),
    expires_at: expires === undefined ? null : new Date(expires).toISOString(),
  };
}
