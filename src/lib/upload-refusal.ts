/** Why bytes are not taken, in the words of the upload protocol. */
export type UploadRefusal =
  /** There is no such upload. */
  | 'unknown'
  /** It was cancelled, failed, or expired, and its bytes are gone. */
  | 'gone'
  /** The session or API key that began it was ended. */
  | 'ended'
  /** Its owner paused it. */
  | 'paused'
  /** Another connection is sending, and does not stop; or this one had to make room for another. */
  | 'locked'
  /** Its bytes so far are at another host, which is alive. */
  | 'elsewhere'
  /** All its bytes are here: nothing more is taken, and nothing is taken back. */
  | 'finished'
  /** The bytes do not begin where those that are here end. */
  | 'offset'
  /** More bytes than the upload, or one request, may have. */
  | 'tooLarge'
  /** The bytes are not those of the checksum that came with them. */
  | 'checksum';

/** Bytes of an upload were refused; what is already here stays as it was. */
export class UploadRefusedError extends Error {
  override readonly name = 'UploadRefusedError';
  readonly refusal: UploadRefusal;

  constructor(refusal: UploadRefusal, message: string) {
    super(message);
    this.refusal = refusal;
  }
}
