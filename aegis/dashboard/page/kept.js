// In place of api.js in a report: the answers that the file holds. Nothing is asked, nothing can be done.

const record = JSON.parse(document.getElementById("record").textContent);

export const get = async (path, { point = "" } = {}) => structuredClone(record[path][point]);
export const follow = () => {};
export const act = async () => false;
export const say = () => {};
