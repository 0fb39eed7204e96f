// Draws a frame into a canvas by WebGL2: planes of luma and chroma, or a VideoFrame as it is.

const VERTEX = `#version 300 es
uniform mat2 turn;
out vec2 at;
void main() {
  vec2 corner = vec2(float(gl_VertexID & 1), float(gl_VertexID >> 1)) * 2.0 - 1.0;
  at = (turn * corner) * vec2(0.5, -0.5) + 0.5;
  gl_Position = vec4(corner, 0, 1);
}`;

const PLANES = `#version 300 es
precision highp float;
in vec2 at;
uniform sampler2D luma, first, second;
uniform bool together;
uniform vec3 offset;
uniform mat3 matrix;
out vec4 color;
void main() {
  vec2 chroma = together ? texture(first, at).rg : vec2(texture(first, at).r, texture(second, at).r);
  color = vec4(matrix * (vec3(texture(luma, at).r, chroma) - offset), 1);
}`;

const PICTURE = `#version 300 es
precision highp float;
in vec2 at;
uniform sampler2D luma;
out vec4 color;
void main() { color = vec4(texture(luma, at).rgb, 1); }`;

/** Weights of red and blue in luma, by the names of VideoColorSpace.matrix (ITU-R BT.709, BT.601, BT.2020). */
const MATRICES = { bt709: [0.2126, 0.0722], smpte170m: [0.299, 0.114], bt470bg: [0.299, 0.114], 'bt2020-ncl': [0.2627, 0.0593] };

/**
 * From Y'CbCr samples of 0 to 1 to R'G'B': what to subtract, and the matrix, column by column.
 *
 * @param {string | null | undefined} matrix of VideoColorSpace; unknown ones are taken for BT.709, or BT.601 below 720 rows
 * @param {boolean} fullRange
 * @param {number} height of the coded picture
 */
export function colorConversion(matrix, fullRange, height) {
  const [red, blue] = MATRICES[matrix] ?? (height < 720 ? MATRICES.smpte170m : MATRICES.bt709), green = 1 - red - blue;
  const luma = fullRange ? 1 : 255 / 219, chroma = fullRange ? 1 : 255 / 224;
  const blueOfU = 2 * (1 - blue) * chroma, redOfV = 2 * (1 - red) * chroma;
  return {
    offset: [fullRange ? 0 : 16 / 255, 128 / 255, 128 / 255],
    matrix: [luma, luma, luma, 0, -blueOfU * blue / green, blueOfU, redOfV, -redOfV * red / green, 0],
  };
}

/** A canvas and what is drawn into it. Throws Error where there is no WebGL2. */
export class Painter {
  #canvas;
  #gl;
  #programs = {};
  #textures = {};
  #lost = false;

  /**
   * @param {OffscreenCanvas} canvas
   * @param {{onLost?: () => void, onRestored?: () => void}} [events]
   */
  constructor(canvas, { onLost = () => {}, onRestored = () => {} } = {}) {
    this.#canvas = canvas;
    this.#gl = canvas.getContext('webgl2', { alpha: true, antialias: false, depth: false, stencil: false, preserveDrawingBuffer: false });
    if (this.#gl === null) throw new Error('this browser has no WebGL2 for canvases in workers');
    canvas.addEventListener('webglcontextlost', (event) => { event.preventDefault(); this.#lost = true; onLost(); });
    canvas.addEventListener('webglcontextrestored', () => { this.#lost = false; this.#begin(); onRestored(); });
    this.#begin();
  }

  get lost() { return this.#lost || this.#gl.isContextLost(); }

  /** For tests: lose the context, or have it back. */
  tryLoss(lose) {
    this.#losing ??= this.#gl.getExtension('WEBGL_lose_context');
    if (lose) this.#losing.loseContext(); else this.#losing.restoreContext();
  }
  #losing = null;

  #begin() {
    const gl = this.#gl;
    this.#textures = {};
    this.#programs = { planes: this.#program(PLANES), picture: this.#program(PICTURE) };
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.clearColor(0, 0, 0, 0);
  }

  #program(fragment) {
    const gl = this.#gl, program = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) throw new Error(gl.getProgramInfoLog(program));
    const at = (name) => gl.getUniformLocation(program, name);
    return { program, turn: at('turn'), luma: at('luma'), first: at('first'), second: at('second'), together: at('together'), offset: at('offset'), matrix: at('matrix') };
  }

  /**
   * Draw planes. Each is {bytes, stride, width, height}; with two, the second holds Cb and Cr in turns (NV12).
   *
   * @param {object[]} planes @param {{matrix?: string, fullRange: boolean, height: number}} color of the coded frame
   * @param {object} place where in the canvas: {width, height, x, y, wide, high, rotation, flip}
   */
  drawPlanes(planes, color, place) {
    const gl = this.#gl, together = planes.length === 2;
    planes.forEach((plane, i) => this.#upload(i, plane, together && i === 1 ? 2 : 1));
    const { program, ...at } = this.#programs.planes, { offset, matrix } = colorConversion(color.matrix, color.fullRange, color.height);
    gl.useProgram(program);
    gl.uniform1i(at.luma, 0);
    gl.uniform1i(at.first, 1);
    gl.uniform1i(at.second, together ? 1 : 2);
    gl.uniform1i(at.together, together ? 1 : 0);
    gl.uniform3fv(at.offset, offset);
    gl.uniformMatrix3fv(at.matrix, false, matrix);
    this.#draw(at, place);
  }

  /** Draw a VideoFrame as it is. The browser turns it by its own rotation where it has one. */
  drawFrame(frame, place) {
    const gl = this.#gl, { program, ...at } = this.#programs.picture;
    gl.activeTexture(gl.TEXTURE0);
    this.#textures[0] = this.#texture(this.#textures[0], 'picture');
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, frame);
    gl.useProgram(program);
    gl.uniform1i(at.luma, 0);
    this.#draw(at, { ...place, rotation: 0, flip: false });
  }

  #draw(at, { width, height, x, y, wide, high, rotation, flip }) {
    const gl = this.#gl, quarter = ((rotation % 360) + 360) % 360 / 90;
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, { width, height });
    const [cos, sin] = [[1, 0], [0, 1], [-1, 0], [0, -1]][quarter] ?? [1, 0], mirror = flip ? -1 : 1;
    gl.uniformMatrix2fv(at.turn, false, [cos * mirror, sin * mirror, -sin, cos]);
    gl.viewport(0, 0, width, height);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.viewport(x, height - y - high, wide, high);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    gl.flush();
  }

  #upload(unit, { bytes, stride, width, height }, channels) {
    const gl = this.#gl, format = channels === 2 ? gl.RG : gl.RED, storage = channels === 2 ? gl.RG8 : gl.R8;
    gl.activeTexture(gl.TEXTURE0 + unit);
    const shape = `${width}x${height}x${channels}`, before = this.#textures[unit];
    this.#textures[unit] = this.#texture(before, shape);
    if (before?.shape !== shape) gl.texStorage2D(gl.TEXTURE_2D, 1, storage, width, height);
    gl.pixelStorei(gl.UNPACK_ROW_LENGTH, stride / channels);
    const put = (data) => gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, format, gl.UNSIGNED_BYTE, data);
    // Not every browser takes shared memory here.
    try { put(bytes); } catch (error) { if (!(error instanceof TypeError)) throw error; put(bytes.slice()); }
    gl.pixelStorei(gl.UNPACK_ROW_LENGTH, 0);
  }

  /** The texture of a shape: the one there is, or a new one. Bound afterwards. */
  #texture(before, shape) {
    const gl = this.#gl;
    if (before?.shape === shape) { gl.bindTexture(gl.TEXTURE_2D, before.texture); return before; }
    if (before !== undefined) gl.deleteTexture(before.texture);
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    for (const [name, value] of [[gl.TEXTURE_MIN_FILTER, gl.LINEAR], [gl.TEXTURE_MAG_FILTER, gl.LINEAR], [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE]])
      gl.texParameteri(gl.TEXTURE_2D, name, value);
    return { texture, shape };
  }

  /** Free what it holds on the graphics card. */
  close() {
    const gl = this.#gl;
    for (const { texture } of Object.values(this.#textures)) gl.deleteTexture(texture);
    gl.getExtension('WEBGL_lose_context')?.loseContext();
  }
}
