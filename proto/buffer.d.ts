// Methods of Buffer that Node has had since version 0.x and documents nowhere; its types leave them out.
export {};

declare global {
  interface Buffer {
    latin1Write(text: string, offset?: number, length?: number): number;
    latin1Slice(start?: number, end?: number): string;
  }
}
