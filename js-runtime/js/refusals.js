// What an execution environment refuses, with an error that says so.

function refuse(subject) {
  const error = new Error(`${subject} is not supported in an execution environment`);
  error.code = "ERR_FEATURE_UNAVAILABLE_ON_PLATFORM";
  throw error;
}

/** Puts the refusals in place of the built-ins that would start processes, threads or listeners. */
export function installRefusals(require) {
  const child = require("node:child_process");
  for (const name of ["spawn", "spawnSync", "exec", "execSync", "execFile", "execFileSync", "fork"]) {
    child[name] = { [name]() { refuse(`child_process.${name}`); } }[name];
  }
  for (const name of ["net", "http", "https"]) {
    require(`node:${name}`).Server.prototype.listen = function listen() { refuse("listening on a socket"); };
  }
  require("node:dgram").Socket.prototype.bind = function bind() { refuse("binding a UDP socket"); };
  require("node:worker_threads").Worker = class Worker { constructor() { refuse("starting a worker thread"); } };
  require("node:cluster").fork = function fork() { refuse("cluster.fork"); };
  const process = require("node:process");
  process.dlopen = function dlopen() { refuse("loading a native addon"); };
  process.chdir = function chdir() { refuse("process.chdir"); };
  process.abort = function abort() { refuse("process.abort"); };
  process.kill = function kill() { refuse("process.kill"); };
}
