// A negative answer on the control connection, thrown where the reason is known (RFC 959 section 4.2).
export class FtpReply extends Error {
  readonly status: number;
  constructor(status: number, text: string) {
    super(text);
    this.name = 'FtpReply';
    this.status = status;
  }
}

/** What the disk says in words of FTP; the path on disk is never part of it. */
export function replyFor(error: unknown): FtpReply {
  if (error instanceof FtpReply) return error;
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return new FtpReply(550, 'No such file or directory');
    case 'EEXIST':
      return new FtpReply(550, 'It exists already');
    case 'ENOTEMPTY':
      return new FtpReply(550, 'Directory is not empty');
    case 'ENOTDIR':
    case 'EISDIR':
      return new FtpReply(550, 'Not that kind of file');
    case 'EACCES':
    case 'EPERM':
      return new FtpReply(550, 'Permission denied');
    case 'ENOSPC':
      return new FtpReply(452, 'Disk is full');
    default:
      return new FtpReply(451, 'Local error');
  }
}
