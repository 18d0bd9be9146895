import type { Config } from '@waypost/config';
import type { Runtime } from '@waypost/runtime';
import type { SmimePool } from '@waypost/smime';
import type { SmimeMaterial } from '../smime-material.js';

export interface SmimeDeps {
  readonly config: () => Config;
  readonly runtime: Pick<Runtime, 'log' | 'metrics'>;
  readonly material: SmimeMaterial;
  readonly pool: SmimePool;
}
