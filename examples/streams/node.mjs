// The clients that Node has built in. The first line of output lists them; a line
// of input with the number of the last event ends them, and what they saw is the
// second line.
const [base, streams, every, patience, leavingWord] = process.argv.slice(1);

let final; // the number of the last event, once it is known
const onFinal = [];
let givenUp = false;

const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

// Feed is what one client saw of the events.
class Feed {
  last = 0;
  constructor(counts) { this.counts = counts; }
  see(id) {
    if (id <= this.last) {
      this.counts.doubled++;
      return;
    }
    this.counts.lost += id - this.last - 1;
    this.counts.messages++;
    this.last = id;
  }
  get done() { return givenUp || final !== undefined && this.last >= final; }
  // close counts what was never seen.
  close() {
    this.counts.lost += Math.max(0, final - this.last);
    this.last = Math.max(final, this.last);
  }
}

async function followFetch(name, counts) {
  const feed = new Feed(counts);
  const stopping = new AbortController();
  onFinal.push(() => { if (feed.done) stopping.abort(); });
  while (!feed.done) {
    let opened = false, told = false;
    try {
      const response = await fetch(`http://${base}/events?client=${name}`, {
        headers: { 'Last-Event-ID': String(feed.last) }, signal: stopping.signal,
      });
      counts.opened++;
      opened = true;
      let text = '';
      for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
        const events = (text + chunk).split('\n\n');
        text = events.pop(); // not whole yet
        for (const event of events) {
          const fields = Object.fromEntries(event.split('\n').map((line) => line.split(': ', 2)));
          if (fields.id) feed.see(Number(fields.id));
          if (fields.event === leavingWord) told = true;
        }
        if (feed.done) break;
      }
    } catch {} // the stream was cut, which told says
    if (feed.done) break;
    if (!opened) await pause(5);
    else if (told) counts.told++;
    else counts.cut++;
  }
  feed.close();
}

function followEventSource(name, counts) {
  const feed = new Feed(counts);
  return new Promise((resolve) => {
    const finishIfDone = () => {
      if (!feed.done) return;
      feed.close();
      resolve();
    };
    const open = () => {
      let opened = false;
      const source = new EventSource(`http://${base}/events?client=${name}&after=${feed.last}`);
      source.onopen = () => {
        counts.opened++;
        opened = true;
      };
      source.onmessage = (event) => {
        feed.see(Number(event.lastEventId));
        if (feed.done) source.close();
        finishIfDone();
      };
      // It would come again by itself, but that of Node 20 gives up for ever where
      // its request meets the end of a connection.
      let ended = false;
      const again = (told) => {
        if (ended || feed.done) return;
        ended = true;
        source.close();
        if (told) counts.told++;
        else if (opened) counts.cut++;
        setTimeout(open, 5);
      };
      source.addEventListener(leavingWord, () => again(true));
      source.onerror = () => again(false);
    };
    onFinal.push(finishIfDone);
    open();
  });
}

// A WebSocket client sends numbered messages, waits for no answer before it sends
// the next one, and sends none twice.
function talk(name, counts) {
  let number = 0;
  return new Promise((resolve) => {
    const open = () => {
      const socket = new WebSocket(`ws://${base}/socket?client=${name}`);
      const waiting = new Set();
      let opened = false, told = false, sending;
      const finishSending = () => {
        clearInterval(sending);
        sending = undefined;
        if (waiting.size === 0 || givenUp) socket.close(1000);
      };
      const send = () => {
        const message = String(++number);
        waiting.add(message);
        socket.send(message);
      };
      const stop = () => { if (opened) finishSending(); };
      onFinal.push(stop);
      socket.onopen = () => {
        counts.opened++;
        opened = true;
        if (final === undefined) sending = setInterval(send, Number(every));
        else finishSending();
      };
      socket.onmessage = ({ data }) => {
        if (data === leavingWord) {
          told = true;
          finishSending();
        } else if (waiting.delete(data)) {
          counts.messages++;
          if (!sending) finishSending();
        } else counts.doubled++;
      };
      let ended = false;
      socket.onclose = socket.onerror = () => {
        if (ended) return; // that of Node 20 says close, or error, or both
        ended = true;
        onFinal.splice(onFinal.indexOf(stop), 1);
        clearInterval(sending);
        counts.lost += waiting.size;
        if (opened && told) counts.told++;
        else if (opened && final === undefined) counts.cut++;
        if (final !== undefined) resolve();
        else if (opened) open();
        else setTimeout(open, 5);
      };
    };
    open();
  });
}

const all = [];
const clients = [];
const start = (kind, available, client) => {
  if (typeof available === 'undefined') return;
  const counts = { kind: `Node ${kind}`, streams: Number(streams), opened: 0, told: 0, cut: 0, messages: 0, lost: 0, doubled: 0 };
  all.push(counts);
  for (let n = 0; n < counts.streams; n++) clients.push(client(`node-${kind}-${n}`, counts));
};
start('fetch', globalThis.fetch, followFetch);
start('EventSource', globalThis.EventSource, followEventSource);
start('WebSocket', globalThis.WebSocket, talk);
console.log(JSON.stringify(all.map((counts) => counts.kind)));

process.stdin.setEncoding('utf8');
process.stdin.once('data', async (line) => {
  final = Number(line);
  for (const check of [...onFinal]) check();
  await Promise.race([Promise.all(clients), pause(Number(patience))]);
  givenUp = true;
  for (const check of [...onFinal]) check();
  await Promise.race([Promise.all(clients), pause(1000)]);
  console.log(JSON.stringify(all));
  process.exit();
});
process.stdin.once('end', () => process.exit());
