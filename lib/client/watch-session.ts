/** Tells a page when its session ends: reads the route `/events` of `router()`. */

// Declared here, as far as they are used, so that the module needs neither the types of the DOM nor those of Node.
interface Listening {
  addEventListener(type: string, listener: (event: { persisted?: boolean }) => void, options: Stopping): void;
}
interface Stopping {
  readonly signal: Aborting['signal'];
}
declare class Aborting {
  readonly signal: { readonly aborted: boolean; addEventListener(type: 'abort', listener: () => void): void };
  abort(): void;
}
