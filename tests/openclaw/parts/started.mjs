// What a run has started, stopped in reverse order whatever happens.

export class Started {
  #stops = [];
  #stopping;

  constructor() {
    for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => this.stopAll().then(() => process.exit(1)));
  }

  keep = (thing, stop) => {
    this.#stops.push(() => stop(thing));
    return thing;
  };

  stopAll = () => (this.#stopping ??= (async () => {
    for (const stop of this.#stops.reverse()) await stop();
  })());
}
