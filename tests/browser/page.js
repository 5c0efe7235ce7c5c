// Uploads the chosen file with `upload` of docs/clients.md, which the test puts in front of this, and shows it.

addEventListener('securitypolicyviolation', (event) => {
  window.violation = `${event.violatedDirective} ${event.blockedURI}`;
});

document.querySelector('input').onchange = async ({ target }) => {
  const result = document.querySelector('p');
  try {
    const part = await upload(target.files[0]);
    const image = new Image();
    image.src = `${part.url}/file?as=thumb`;
    document.body.append(image);
    await image.decode();
    result.textContent = `${image.naturalWidth} × ${image.naturalHeight}`;
  } catch (error) {
    result.textContent = String(error);
  }
};
