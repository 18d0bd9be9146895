/** A part of a process that is started and stopped as a whole. */
export interface Service {
  readonly name: string;
  start(): Promise<void>;
  /** Takes no new work and finishes what is open, within `deadline` ms. */
  stop(deadline: number): Promise<void>;
  /** @returns undefined when ready, else why not. */
  ready(): string | undefined;
}

export interface RunOptions {
  /** Time for all to stop, ms. */
  readonly grace: number;
  readonly onStarted?: () => void;
  /** Called before the first service stops; readiness fails from here on. */
  readonly onStopping?: () => void;
  readonly onError?: (error: Error, service: string) => void;
}

/**
 * Starts services in order, waits for SIGTERM or SIGINT (or `stop`), and stops them in reverse.
 * @returns the process's exit code, once all has stopped.
 * @throws what a service threw while starting, after those before it were stopped.
 */
export async function runServices(
  services: readonly Service[],
  options: RunOptions,
  signal: Promise<unknown> = stopSignal(),
): Promise<number> {
  const started: Service[] = [];
  let failed = false;
  const stopAll = async () => {
    const end = Date.now() + options.grace;
    for (const service of started.reverse()) {
      await service.stop(Math.max(0, end - Date.now())).catch((error: Error) => {
        failed = true;
        options.onError?.(error, service.name);
      });
    }
  };
  for (const service of services) {
    try {
      await service.start();
      started.push(service);
    } catch (error) {
      await stopAll();
      throw error;
    }
  }
  options.onStarted?.();
  await signal;
  options.onStopping?.();
  await stopAll();
  return failed ? 1 : 0;
}

/** Resolves at SIGTERM or SIGINT. */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
}
