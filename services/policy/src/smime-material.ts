import { type Config, ConfigError, type SmimeSettings } from '@waypost/config';
import type { Logger } from '@waypost/runtime';
import { loadMaterial, type Material } from '@waypost/smime';

/** A configuration and what it names. */
export interface InForce {
  readonly settings: SmimeSettings;
  readonly material: Material;
}

/** Keys and certificates in force: those of the configuration, read again when it is. */
export class SmimeMaterial {
  #current: InForce | undefined;
  #read: SmimeSettings | undefined;

  constructor(
    private readonly config: () => Config,
    private readonly log: Pick<Logger, 'error'>,
  ) {}

  /** @throws ConfigError where something cannot be used, so that a process does not start with it. */
  async load(): Promise<void> {
    const { smime } = this.config();
    this.#read = smime;
    try {
      this.#current = { settings: smime, material: await loadMaterial(smime) };
    } catch (error) {
      throw new ConfigError([(error as Error).message]);
    }
  }

  /** @returns what was read last; a new configuration is read beside, and where it cannot be, the old one's stays. */
  current(): InForce | undefined {
    if (this.config().smime !== this.#read) {
      this.load().catch((error: Error) =>
        this.log.error({ error: error.message }, 'S/MIME keys and certificates cannot be read, the old ones stay'),
      );
    }
    return this.#current;
  }
}
