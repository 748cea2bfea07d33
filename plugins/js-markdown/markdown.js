/** The headings, list items and fences of a Markdown text. Nothing inside a fence is either of the others. */
export function outline(text) {
  const found = { headings: [], items: 0, openFence: null };
  for (const line of text.split(/\r?\n/)) {
    const fence = line.match(/^ {0,3}(`{3,}|~{3,})(.*)$/);
    if (found.openFence) {
      if (fence && closes(fence, found.openFence)) found.openFence = null;
      continue;
    }
    // A backtick after the opening ones makes it inline code.
    if (fence && !(fence[1][0] === "`" && fence[2].includes("`"))) {
      found.openFence = fence[1];
      continue;
    }
    const heading = line.match(/^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$/);
    if (heading) found.headings.push({ level: heading[1].length, title: (heading[2] ?? "").trim() });
    else if (/^\s*(?:[-*+]|\d{1,9}[.)])[ \t]+\S/.test(line) && !isRule(line)) found.items += 1;
  }
  return found;
}

function closes([, marks, rest], open) {
  return marks[0] === open[0] && marks.length >= open.length && rest.trim() === "";
}

// `* * *` is a line across the page.
function isRule(line) {
  return /^ {0,3}([-*])[ \t]*(?:\1[ \t]*){2,}$/.test(line);
}
