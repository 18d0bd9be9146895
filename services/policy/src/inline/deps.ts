import type { Config } from '@waypost/config';
import type { MessageMeta } from '@waypost/mail';
import type { SiteFinder } from '@waypost/shaping';
import type { Spool } from '@waypost/spool';
import type { Judge } from '../judge.js';

export interface PolicyPortDeps {
  readonly judge: Judge;
  readonly config: () => Config;
  readonly spool: Spool;
  readonly sites: Pick<SiteFinder, 'find'>;
  /** Whether a message is a report, which is dealt with in the queue. */
  readonly isReport: (meta: MessageMeta) => boolean;
}
