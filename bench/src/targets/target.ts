/** A relay under test: takes mail on a port and hands it to a sink's. */
export interface Target {
  readonly name: string;
  readonly port: number;
  /** Roots of its process tree. */
  readonly pids: readonly number[];
  stop(): Promise<void>;
}
