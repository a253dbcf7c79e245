// The simulated phone: whose it is, the app's chat, the desk's page in a frame, the lock, the log.
// It shows what a member's WeCom would show and knows nothing of the desk but the address of its door.

const WORDS = {
  zh: {
    demo: "演示",
    demoWhy: "这不是企业微信，是本机上的模拟。",
    title: "模拟企业微信",
    change: "换一位成员",
    pick: "拿起谁的手机？",
    out_of_scope: "不在应用可见范围",
    unlicensed: "无接口许可",
    inactive: "未启用",
    back: "返回聊天",
    empty: "暂无消息",
    enter: "进入服务台",
    lock: "锁屏",
    locked: "手机已锁定",
    lockedWhy: "页面已移除，连接已断开。",
    log: "服务器发往企业微信的请求",
    logWhy: "最新的在最上面；密钥显示为 •••。",
    logEmpty: "还没有请求。",
    ok: "成功",
    noAnswer: "没有回复",
    trouble: "模拟的企业微信没有回应，正在重试…",
    phoneOf: (name) => `${name}的手机`,
    pageOf: (name, phone) => `${name}的手机 ${phone}：服务台页面`,
    fault: (kind) => `注入的故障：${kind}`,
  },
  en: {
    demo: "Demo",
    demoWhy: "This is not WeCom but a simulation on this machine.",
    title: "Simulated WeCom",
    change: "Somebody else",
    pick: "Whose phone?",
    out_of_scope: "outside the app's scope",
    unlicensed: "no licence",
    inactive: "not active",
    back: "Back to the chat",
    empty: "No messages",
    enter: "Open the service desk",
    lock: "Lock phone",
    locked: "Phone locked",
    lockedWhy: "The page is gone, its connection cut.",
    log: "Requests our server made to WeCom",
    logWhy: "Newest first; secrets are shown as •••.",
    logEmpty: "No requests yet.",
    ok: "ok",
    noAnswer: "no answer",
    trouble: "The simulated WeCom does not answer, trying again…",
    phoneOf: (name) => `${name}'s phone`,
    pageOf: (name, phone) => `${name}'s phone ${phone}: the desk's page`,
    fault: (kind) => `injected fault: ${kind}`,
  },
};

const LOG_EVERY_MS = 2000;
const LOG_ROWS_MAX = 100;
const PHONES_MAX = 2;

const language = /^zh\b/i.test(navigator.language) ? "zh" : "en";
const words = WORDS[language];
const asked = new URLSearchParams(location.search);
const $ = (selector, within = document) => within.querySelector(selector);

function speak(within) {
  for (const node of within.querySelectorAll("[data-word]")) {
    node.textContent = words[node.dataset.word];
  }
}

function copyOf(id) {
  const copy = $(`#${id}`).content.firstElementChild.cloneNode(true);
  speak(copy);
  return copy;
}

function clockTime(at) {
  return new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en-GB", {
    timeStyle: "medium",
  }).format(at);
}

async function fetched(path, options) {
  const answer = await fetch(path, options);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/** In the browser's cookie, which the login page reads; another window may have changed it. */
function takePhoneOf(userid) {
  return fetched("_sim/person", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ userid }),
  });
}

// --- the picker ----------------------------------------------------------------------------------

function addressOf(userid) {
  const query = new URLSearchParams(asked);
  query.set("person", userid);
  return `?${query}`;
}

function rowOf(person) {
  const row = copyOf("person-row");
  $("a", row).href = addressOf(person.userid);
  $(".avatar", row).textContent = person.initials;
  $(".name", row).textContent = person.name;
  $(".who .quiet", row).textContent = `${person.department} · ${person.position}`;
  for (const note of person.notes) {
    const mark = document.createElement("span");
    mark.className = "note";
    mark.textContent = words[note];
    $(".name", row).append(mark);
  }
  return row;
}

function showPicker(people) {
  $("#people").replaceChildren(...people.map(rowOf));
  $("#picker").hidden = false;
}

// --- a phone -------------------------------------------------------------------------------------

function makePhone(number, person, state) {
  const phone = copyOf("phone");
  const page = $(".page", phone);
  // Where the page stood when the phone was locked: a real one shows it again.
  let kept = null;

  const open = async (address) => {
    await takePhoneOf(person.userid);
    const frame = document.createElement("iframe");
    frame.name = `phone-${number}`;
    frame.title = words.pageOf(person.name, number);
    frame.src = address;
    page.replaceChildren(frame);
    showPage(true);
    frame.focus();
  };

  const showPage = (isOpen) => {
    page.hidden = !isOpen;
    $(".chat", phone).hidden = isOpen;
    $(".back", phone).hidden = !isOpen;
  };

  const close = () => {
    page.replaceChildren();
    showPage(false);
    $(".enter", phone).focus();
  };

  const lock = () => {
    const frame = $("iframe", page);
    kept = frame && standsAt(frame, state.entry);
    page.replaceChildren();
  };

  const setLocked = (isLocked) => {
    $(".switch", phone).setAttribute("aria-checked", String(isLocked));
    $(".locked", phone).hidden = !isLocked;
    $(".unlocked", phone).hidden = isLocked;
    if (isLocked) lock();
    else if (kept) open(kept).catch(reportTrouble);
  };

  phone.addEventListener("cards", ({ detail }) => {
    const rows = detail.map((card) => cardRowOf(card, () => open(card.url).catch(reportTrouble)));
    $(".cards", phone).replaceChildren(...rows);
    $(".cards", phone).hidden = rows.length === 0;
    $(".empty", phone).hidden = rows.length > 0;
    rows.at(-1)?.scrollIntoView({ block: "nearest" });
  });
  phone.setAttribute("aria-label", words.phoneOf(person.name));
  $(".app", phone).textContent = state.app;
  $(".enter", phone).addEventListener("click", () => open(state.entry).catch(reportTrouble));
  $(".back", phone).addEventListener("click", close);
  $(".switch", phone).addEventListener("click", (event) => {
    setLocked(event.currentTarget.getAttribute("aria-checked") !== "true");
  });
  return phone;
}

function standsAt(frame, otherwise) {
  try {
    const { href } = frame.contentWindow.location;
    return href.startsWith("http") ? href : otherwise;
  } catch {
    return otherwise; // the desk lives at another origin
  }
}

function showPhones(person, state) {
  const count = Math.min(Math.max(Number(asked.get("phones")) || 1, 1), PHONES_MAX);
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  $("#phones").replaceChildren(...numbers.map((number) => makePhone(number, person, state)));
  $("#who").textContent = `${person.name} · ${person.department}`;
  const others = new URLSearchParams(asked);
  others.delete("person");
  $("#change").href = `?${others}`;
  $("#whose").hidden = false;
  $("#desk").hidden = false;
}

function tick() {
  const now = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" }).format(new Date());
  for (const clock of document.querySelectorAll(".clock")) clock.textContent = now;
}

// --- the cards -----------------------------------------------------------------------------------

let shown = "";

function cardRowOf(card, tapped) {
  const row = copyOf("card");
  $(".when", row).textContent = clockTime(card.at);
  $(".title", row).textContent = plain(card.title);
  $(".text", row).textContent = plain(card.description);
  $(".more", row).textContent = card.button;
  $("button", row).addEventListener("click", tapped);
  return row;
}

/** A card's text as WeCom has it, without ever becoming HTML here. */
function plain(text) {
  return text
    .replaceAll("<br>", "\n")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&");
}

async function readInbox(person) {
  const { cards } = await fetched(`_sim/inbox?person=${encodeURIComponent(person.userid)}`);
  const now = cards.map((card) => card.msgid).join();
  if (now === shown) return;
  shown = now;
  for (const phone of document.querySelectorAll(".phone")) {
    phone.dispatchEvent(new CustomEvent("cards", { detail: cards }));
  }
}

// --- the log -------------------------------------------------------------------------------------

let newest = 0;

function resultOf(call) {
  if (call.fault) return words.fault(call.fault);
  if (call.errcode === null) return words.noAnswer;
  return call.errcode === 0 ? words.ok : `${call.errcode} ${call.errmsg}`;
}

function logRowOf(call) {
  const row = copyOf("log-row");
  const query = Object.entries(call.query).map(([name, value]) => `${name}=${value}`);
  $(".when", row).textContent = clockTime(call.at);
  $(".request", row).textContent = `${call.method} ${call.path} ${query.join(" ")}`;
  $(".result", row).textContent = resultOf(call);
  row.classList.toggle("failed", call.errcode !== 0 || call.fault !== null);
  return row;
}

async function readLog() {
  const { made, calls } = await fetched(`_sim/calls?after=${newest}`);
  if (made < newest) {
    newest = 0; // it was started anew; the next look brings what it has
    return;
  }
  for (const call of calls) {
    newest = call.number;
    $("#log").prepend(logRowOf(call));
  }
  while ($("#log").children.length > LOG_ROWS_MAX) $("#log").lastElementChild.remove();
  $("#log-empty").hidden = $("#log").children.length > 0;
  reportTrouble(null);
}

function reportTrouble(error) {
  const text = error ? words.trouble : "";
  if ($("#trouble").textContent !== text) $("#trouble").textContent = text;
  $("#trouble").hidden = !error;
}

function follow(person) {
  if (document.hidden) return;
  readLog()
    .then(() => readInbox(person))
    .catch(reportTrouble);
}

// --- beginning -----------------------------------------------------------------------------------

async function begin() {
  const state = await fetched("_sim/state");
  const person = state.people.find((one) => one.userid === asked.get("person"));
  reportTrouble(null);
  if (!person) {
    showPicker(state.people);
    return;
  }
  showPhones(person, state);
  tick();
  setInterval(tick, 10_000);
  follow(person);
  setInterval(() => follow(person), LOG_EVERY_MS);
}

function beginOrRetry() {
  begin().catch((error) => {
    reportTrouble(error);
    setTimeout(beginOrRetry, LOG_EVERY_MS);
  });
}

document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
document.title = `${words.demo} · ${words.title}`;
speak(document);
beginOrRetry();
