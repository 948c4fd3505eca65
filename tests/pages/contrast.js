// The texts of this page that stand out too little from their ground: WCAG 2.2, 1.4.3 (AA). Returns how many were looked at, and those that fail.
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const read = (color) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
  return { channels: [red, green, blue], alpha: alpha / 255 };
};
const over = (top, ground) => top.channels.map((channel, place) => channel * top.alpha + ground[place] * (1 - top.alpha));
const luminance = (channels) => {
  const [red, green, blue] = channels.map((channel) => {
    const part = channel / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const isDark = matchMedia("(prefers-color-scheme: dark)").matches;

// The grounds of all elements around a text, the outermost first.
const groundOf = (element) => {
  const around = [];
  for (let one = element; one; one = one.parentElement) around.unshift(read(getComputedStyle(one).backgroundColor));
  return around.reduce((ground, top) => over(top, ground), isDark ? [18, 18, 18] : [255, 255, 255]);
};

let looked = 0;
const failing = [];
const look = (element, style, text) => {
  const ground = groundOf(element);
  const [one, other] = [luminance(over(read(style.color), ground)), luminance(ground)];
  const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  const size = parseFloat(style.fontSize);
  const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  looked += 1;
  if (ratio < (isLarge ? 3 : 4.5)) failing.push(`${ratio.toFixed(2)}: ${text.trim().slice(0, 60)} (${element.tagName.toLowerCase()}.${element.className})`);
};

// What is switched off may be paler, and what is only read out has no colours.
const counts = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && !element.closest("[disabled], .hidden, .skip, script, style");
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const { textContent, parentElement } = walker.currentNode;
  if (textContent.trim() && counts(parentElement)) look(parentElement, getComputedStyle(parentElement), textContent);
}
for (const element of document.body.querySelectorAll("*")) {
  if (!counts(element)) continue;
  for (const pseudo of ["::before", "::after"]) {
    const style = getComputedStyle(element, pseudo);
    if (style.content !== "none" && style.content !== "normal" && style.content !== '""') look(element, style, `${pseudo} ${style.content}`);
  }
  if (element.matches("input:not([type=hidden]), textarea, select")) {
    look(element, getComputedStyle(element), element.value || element.name);
    if (element.placeholder) look(element, getComputedStyle(element, "::placeholder"), `placeholder ${element.placeholder}`);
  }
}
return { looked, failing };
