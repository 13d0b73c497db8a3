// The error classes that operations answer with, by the names the operations use.
(function () {
const { core } = __bootstrap;

function named(name, code) {
  const ErrorClass = class extends Error {
    constructor(message, options) {
      super(message, options);
      this.name = name;
      if (code !== undefined) this.code = code;
    }
  };
  Object.defineProperty(ErrorClass, "name", { value: name });
  return ErrorClass;
}

// Node's code for those that Node reports as a system error. `NotCapable` is
// the core's own class; a refused path must look like one to Node code.
const { BadResource, Interrupted, NotCapable } = core;
Object.defineProperty(NotCapable.prototype, "code", { value: "EACCES", writable: true, configurable: true });

const codes = {
  NotFound: "ENOENT",
  ConnectionRefused: "ECONNREFUSED",
  ConnectionReset: "ECONNRESET",
  ConnectionAborted: "ECONNABORTED",
  NotConnected: "ENOTCONN",
  AddrInUse: "EADDRINUSE",
  AddrNotAvailable: "EADDRNOTAVAIL",
  BrokenPipe: "EPIPE",
  PermissionDenied: "EACCES",
  AlreadyExists: "EEXIST",
  InvalidData: undefined,
  TimedOut: "ETIMEDOUT",
  WouldBlock: "EAGAIN",
  WriteZero: undefined,
  UnexpectedEof: undefined,
  Http: undefined,
  Busy: "EBUSY",
  NotSupported: "ENOTSUP",
  FilesystemLoop: "ELOOP",
  IsADirectory: "EISDIR",
  NetworkUnreachable: "ENETUNREACH",
  NotADirectory: "ENOTDIR",
};

const errors = { BadResource, Interrupted, NotCapable };
for (const name of Object.keys(codes)) errors[name] = named(name, codes[name]);

return { errors };
})();
