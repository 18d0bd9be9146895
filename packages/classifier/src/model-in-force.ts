import { baseModel, Classifier, readModelFile } from './classify.js';

/** The classifier by the model that is configured: another one named is read, and one that cannot be leaves the old in force. */
export class ModelInForce {
  #file: string | undefined;
  #classifier: Classifier;

  /** @throws Error where the first model cannot be read. */
  constructor(
    private readonly file: () => string | undefined,
    private readonly onError: (error: Error) => void,
  ) {
    this.#file = file();
    this.#classifier = load(this.#file);
  }

  get classifier(): Classifier {
    const wanted = this.file();
    if (wanted === this.#file) return this.#classifier;
    this.#file = wanted;
    try {
      this.#classifier = load(wanted);
    } catch (error) {
      this.onError(error as Error);
    }
    return this.#classifier;
  }
}

const load = (file: string | undefined) => new Classifier(file === undefined ? baseModel() : readModelFile(file));
