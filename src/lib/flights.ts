interface Flight<Result> {
  readonly result: Promise<Result>;
  readonly abandon: AbortController;
  waiting: number;
}

/** Equal questions under way share one answer. Whoever gives up leaves alone; when nobody waits any more, it is ended. */
export class Flights<Result> {
  readonly #underway = new Map<string, Flight<Result>>();

  get size(): number {
    return this.#underway.size;
  }

  /**
   * The answer to the question that `key` stands for.
   * @param launch Asks; called when nobody else has. Its signal aborts when nobody waits any more.
   * @param leaving What the caller gets when its own signal aborts.
   */
  async join(
    key: string,
    signal: AbortSignal,
    launch: (signal: AbortSignal) => Promise<Result>,
    leaving: (reason: unknown) => Error,
  ): Promise<Result> {
    if (signal.aborted) throw leaving(signal.reason);
    const flight = this.#underway.get(key) ?? this.#launch(key, launch);
    flight.waiting += 1;
    const gone = Promise.withResolvers<never>();
    const leave = (): void => gone.reject(leaving(signal.reason));
    signal.addEventListener('abort', leave, { once: true });
    try {
      return await Promise.race([flight.result, gone.promise]);
    } finally {
      signal.removeEventListener('abort', leave);
      flight.waiting -= 1;
      if (flight.waiting === 0) {
        // Gone before the abort, so that nobody joins a call that is about to fail.
        if (this.#underway.get(key) === flight) this.#underway.delete(key);
        flight.abandon.abort(signal.reason);
      }
    }
  }

  /** Nobody joins what is under way: its answer may be older than what comes now. */
  detach(): void {
    this.#underway.clear();
  }

  #launch(key: string, launch: (signal: AbortSignal) => Promise<Result>): Flight<Result> {
    const abandon = new AbortController();
    const flight: Flight<Result> = { result: launch(abandon.signal), abandon, waiting: 0 };
    this.#underway.set(key, flight);
    const land = (): void => {
      if (this.#underway.get(key) === flight) this.#underway.delete(key);
    };
    flight.result.then(land, land);
    return flight;
  }
}
