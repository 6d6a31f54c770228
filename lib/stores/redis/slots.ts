/** Which node of a Cluster serves a key, as its client knows it. */

/** The members of a client that tell. A client of a single server has none of them. */
export interface SlotMap {
  /** The nodes of each slot, the master first, as `host:port`. */
  readonly slots?: readonly (readonly string[] | undefined)[];
  nodes?(role: 'master'): readonly {
    readonly options: { readonly host?: string | undefined; readonly port?: number | undefined };
    /** The socket, once there is one. */
    readonly stream?: { destroy(): unknown };
    call(command: string, ...args: string[]): Promise<unknown>;
    disconnect(): void;
  }[];
}

/** The slot of a key by its hash tag: CRC16 (XMODEM), as the Cluster specification has it. */
export function slotOf(key: string): number {
  const tag = /\{([^}]+)\}/.exec(key)?.[1] ?? key;
  let crc = 0;
  for (const byte of Buffer.from(tag)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc % 16_384;
}

/** `host:port` of the master that serves a key. Empty if that is not known, or there is only one server. */
export function masterOf({ slots }: SlotMap, key: string): string {
  return slots?.[slotOf(key)]?.[0] ?? '';
}

/** Ends the connection to one node. What waits for it fails, and the client asks the others which node has its slots. */
export function disconnectNode(client: SlotMap, name: string): void {
  const node = client.nodes?.('master').find(({ options: { host, port } }) => `${host}:${port}` === name);
  node?.disconnect();
  // Otherwise it would wait for the other side to close it.
  node?.stream?.destroy();
}
