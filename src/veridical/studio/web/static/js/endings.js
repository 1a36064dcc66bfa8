// What stands in place of an item when there is none: title, text, mood.

export function ending({ none, training }, done) {
  if (training?.over) return ["Your training is over", trainingOver(training), ""];
  if (none?.done) {
    const thanks = `Everything is judged. Thank you for your ${done} judgements! You can close this page.`;
    return ["All done", thanks, "done"];
  }
  const waiting = none?.waiting
    ? `You have judged all that you can. ${none.waiting} judgements are with other people or wait for them; some may come back to you.`
    : "The lead of the project has paused it. Look again later.";
  return ["Nothing for you at the moment", waiting, ""];
}

const trainingOver = ({ right, needed, wanted }) =>
  `Of the last ${needed} known items you judged ${right} as expected; ${wanted} are needed. Read the guidelines once more. The lead of the project decides how you go on.`;

// What the top line says of it; items are fetched ahead, so it counts none.
export function trainingStep({ judged, needed }) {
  return judged < needed ? `Training: the first ${needed} items` : "Training goes on";
}
