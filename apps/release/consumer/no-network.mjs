// node --import ./no-network.mjs …: whoever opens a connection beyond this machine fails
import dns from "node:dns";
import net from "node:net";

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...args) {
  const [first] = Array.isArray(args[0]) ? args[0] : args;
  const host = typeof first === "object" ? (first.host ?? first.path) : args[1];
  if (host && !/^(?:127\.|::1|localhost|\/)/.test(String(host))) throw new Error(`a connection to ${host} was opened`);
  return connect.apply(this, args);
};
const lookup = dns.lookup;
dns.lookup = (name, ...rest) => {
  if (name !== "localhost" && !net.isIP(name)) throw new Error(`the name ${name} was looked up`);
  return lookup(name, ...rest);
};
