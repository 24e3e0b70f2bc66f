import { Account } from './account.ts';
import { DirectLink, DownloadCount, DownloadTicket } from './download.ts';
import { ApiKey, Invitation, PasswordReset, Session, User } from './identity.ts';
import { DeviceLink, PendingAuthorization } from './linking.ts';
import { Blob, BlobArrival, LocalChange, LocalEntry } from './local-drive.ts';
import { OfflineFollow, OfflineTask } from './offline-task.ts';
import { AuditRecord, IdempotencyRecord, SharedStateRow } from './operations.ts';
import { Share } from './share.ts';
import { ComputedChange, Snapshot } from './snapshot.ts';
import { Spool } from './spool.ts';
import { Transfer, TransferEvent, TransferJournal, TransferSlice } from './transfer.ts';
import { TransferBatch } from './transfer-batch.ts';

/** Every table, for the ORM and the migrations. */
export const ENTITIES = [
  User,
  Session,
  ApiKey,
  PasswordReset,
  Invitation,
  Account,
  DeviceLink,
  PendingAuthorization,
  LocalEntry,
  Blob,
  BlobArrival,
  LocalChange,
  Transfer,
  TransferSlice,
  TransferEvent,
  TransferJournal,
  TransferBatch,
  Spool,
  DownloadCount,
  DownloadTicket,
  DirectLink,
  Share,
  OfflineTask,
  OfflineFollow,
  IdempotencyRecord,
  AuditRecord,
  SharedStateRow,
  Snapshot,
  ComputedChange,
];
