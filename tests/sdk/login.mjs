export async function checkLogin() {}
