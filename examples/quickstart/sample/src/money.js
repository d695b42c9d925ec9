// Amounts are whole cents everywhere; only here do they become text.

export function format(cents) {
  return (cents / 100).toFixed(2);
}

export function sum(entries) {
  return entries.reduce((total, entry) => total + entry.cents, 0);
}
