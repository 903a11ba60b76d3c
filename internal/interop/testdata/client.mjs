// Sends POSTs over keep-alive connections, and prints a line for each: its name,
// and after a tab why it was lost.
//
//   node client.mjs KIND URL WORKERS THINK_MS REQUESTS_EACH ANSWER
//
// KIND is agent, fetch or http2 of Node itself; or axios, got, got-h2, agentkeepalive,
// undici, undici-fetch, undici-pipelining or undici-h2, packages of npm in the versions
// of package.json, with their own defaults. undici8 and what begins so is that of
// node22/package.json, with the Node of it. Without a number of requests (0) it goes
// on until its standard input is closed.
import http from 'node:http'
import http2 from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'

const [kind, url, workers, think, each, expected] = process.argv.slice(2)
const body = 'politeclose '.repeat(20)

let stopping = false
if (each === '0') {
  process.stdin.on('end', () => { stopping = true }).resume()
}

const AgentKeepAlive = kind === 'agentkeepalive' ? (await import('agentkeepalive')).default : undefined
const agent = AgentKeepAlive ? new AgentKeepAlive() : new http.Agent({ keepAlive: true })

function byAgent(id) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, {
      agent,
      method: 'POST',
      headers: { 'Content-Length': body.length, 'X-Request-Id': id },
    }, async (response) => {
      try {
        let answer = ''
        for await (const chunk of response) answer += chunk
        resolve({ status: response.statusCode, answer })
      } catch (error) {
        reject(error)
      }
    })
    request.on('error', reject)
    request.end(body)
  })
}

const { pathname: path, origin } = new URL(url)

function byFetch(fetch) {
  return async (id) => {
    const response = await fetch(url, { method: 'POST', body, headers: { 'X-Request-Id': id } })
    return { status: response.status, answer: await response.text() }
  }
}

// The connections of undici are 16, or on HTTP/2 four with eight streams each, or one
// for each four workers that pipeline: only what is idempotent is sent so.
const ofPool = {
  plain: { connections: 16 },
  h2: { allowH2: true, connections: 4, pipelining: 8, connect: { rejectUnauthorized: false } },
  pipelining: { connections: Math.ceil(Number(workers) / 4), pipelining: 4 },
}

async function byUndici(module, use) {
  const { Agent, Pool, fetch } = (await import(module)).default
  if (use === 'fetch') {
    const dispatcher = new Agent()
    agents.push(() => dispatcher.close())
    return byFetch((target, init) => fetch(target, { ...init, dispatcher }))
  }
  const pool = new Pool(origin, ofPool[use])
  const idempotent = use === 'pipelining'
  agents.push(() => pool.close())
  return async (id) => {
    const { statusCode, body: answer } = await pool.request({ path, method: 'POST', idempotent, body, headers: { 'x-request-id': id } })
    return { status: statusCode, answer: await answer.text() }
  }
}

async function byAxios() {
  const axios = (await import('axios')).default
  return async (id) => {
    const { status, data } = await axios.post(url, body, {
      httpAgent: agent, headers: { 'X-Request-Id': id }, responseType: 'text', validateStatus: null,
    })
    return { status, answer: data }
  }
}

async function byGot(connection) {
  const { got } = await import('got')
  return async (id) => {
    const { statusCode, body: answer } = await got.post(url, {
      ...connection, body, headers: { 'X-Request-Id': id }, throwHttpErrors: false,
    })
    return { status: statusCode, answer }
  }
}

// Eight workers share a session. One that is closing takes no new request.
const sessions = []

function sessionOf(worker) {
  const n = Math.floor(worker / 8)
  if (!sessions[n] || sessions[n].closed || sessions[n].destroyed) {
    sessions[n] = http2.connect(url, { rejectUnauthorized: false })
    sessions[n].on('error', () => {}) // its streams say so too
  }
  return sessions[n]
}

// A request whose body has not begun to leave when GOAWAY comes is sent again:
// REFUSED_STREAM says that nobody has processed it (RFC 9113 §8.7).
async function byHTTP2(id, worker) {
  for (;;) {
    const answer = await once(id, worker)
    if (answer) return answer
  }
}

// once resolves to nothing where the request was not sent.
function once(id, worker) {
  return new Promise((resolve, reject) => {
    const stream = sessionOf(worker).request({ ':method': 'POST', ':path': path, 'x-request-id': id })
    let status
    let answer = ''
    stream.on('response', (headers) => { status = headers[':status'] })
    stream.on('data', (chunk) => { answer += chunk })
    stream.on('error', (error) => {
      const refused = stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM
      if (refused && !stream.writableFinished) resolve()
      else reject(error)
    })
    stream.on('close', () => {
      if (status === undefined) reject(new Error('closed without an answer'))
      resolve({ status, answer })
    })
    stream.end(body)
  })
}

const undici8 = './node22/node_modules/undici/index.js'
const agents = []
const exchange = await {
  agent: () => byAgent,
  agentkeepalive: () => byAgent,
  fetch: () => byFetch(fetch),
  http2: () => byHTTP2,
  undici: () => byUndici('undici', 'plain'),
  'undici-fetch': () => byUndici('undici', 'fetch'),
  'undici-pipelining': () => byUndici('undici', 'pipelining'),
  'undici-h2': () => byUndici('undici', 'h2'),
  undici8: () => byUndici(undici8, 'plain'),
  'undici8-fetch': () => byUndici(undici8, 'fetch'),
  'undici8-pipelining': () => byUndici(undici8, 'pipelining'),
  'undici8-h2': () => byUndici(undici8, 'h2'),
  axios: byAxios,
  got: () => byGot({ agent: { http: agent } }),
  'got-h2': () => byGot({ http2: true, https: { rejectUnauthorized: false } }),
}[kind]()

async function work(worker) {
  for (let n = 1; !stopping && (each === '0' || n <= Number(each)); n++) {
    const id = `${worker + 1}-${n}`
    let cause = ''
    try {
      const { status, answer } = await exchange(id, worker)
      if (status !== 200) cause = `status ${status}`
      else if (answer !== expected) cause = 'another answer'
    } catch (error) {
      cause = error.cause?.message ?? error.cause?.code ?? error.code ?? error.message
    }
    console.log(cause ? `${id}\t${cause}` : id)
    await sleep(Number(think))
  }
}

await Promise.all(Array.from({ length: Number(workers) }, (_, worker) => work(worker)))
agent.destroy()
for (const close of agents) close()
for (const session of sessions) session.close()
