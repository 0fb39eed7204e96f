// The Python module acutance._native: the C interface, with numpy arrays for planes. acutance/engine/native_engine.py
// makes the checks with messages for users. The checks here keep a wrong call from reading or writing out of bounds.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "acutance.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Luma = nb::ndarray<nb::ro, nb::ndim<2>, nb::device::cpu>;
using Out = nb::ndarray<nb::ndim<2>, nb::device::cpu>;

void check(acutance_status status) {
    if (status == ACUTANCE_OK) return;
    if (status == ACUTANCE_OUT_OF_MEMORY) throw std::bad_alloc();
    if (status == ACUTANCE_INTERNAL_ERROR) throw std::runtime_error(acutance_last_error());
    throw nb::value_error(acutance_last_error());
}

template <class Array>
ptrdiff_t row_bytes(const Array& array) {
    // The stride of a dimension of size one means nothing, and may be any number.
    if (array.shape(1) > 1 && array.stride(1) != 1)
        throw nb::value_error("samples of a row must lie beside each other");
    return static_cast<ptrdiff_t>(array.stride(0)) * static_cast<ptrdiff_t>(array.itemsize());
}

struct Planes {
    Planes(const acutance_engine* engine, const Luma& luma, const Out& out, nb::dlpack::dtype expected, int bit_depth,
           bool full_range) {
        if (luma.dtype() != expected || out.dtype() != expected)
            throw nb::type_error("planes of another type than the bit depth needs");
        if (luma.shape(0) > 65535 || luma.shape(1) > 65535) throw nb::value_error("a plane is at most 65535 x 65535");
        format = {sizeof format, static_cast<int>(luma.shape(1)), static_cast<int>(luma.shape(0)), bit_depth,
                  full_range ? 1 : 0};
        int width, height;
        check(acutance_output_size(engine, format.width, format.height, &width, &height));
        if (out.shape(0) != static_cast<size_t>(height) || out.shape(1) != static_cast<size_t>(width))
            throw nb::value_error("out has another size than the output");
        luma_stride = row_bytes(luma);
        out_stride = row_bytes(out);
    }
    acutance_format format;
    ptrdiff_t luma_stride, out_stride;
};

nb::dlpack::dtype sample_type(int bit_depth) {
    return bit_depth == 8 ? nb::dtype<uint8_t>() : nb::dtype<uint16_t>();
}

class Engine {
public:
    Engine(nb::bytes model, int threads, const std::optional<std::string>& instruction_set, bool pin_threads) {
        const acutance_engine_options options{sizeof options, threads, pin_threads ? 1 : 0,
                                              instruction_set ? instruction_set->c_str() : nullptr};
        check(acutance_load_memory(model.c_str(), model.size(), &options, &engine_));
    }
    ~Engine() { acutance_free(engine_); }
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    acutance_engine* get() const { return engine_; }

    void process(const Luma& luma, const Out& out, double strength, int bit_depth, bool full_range) const {
        const Planes planes(engine_, luma, out, sample_type(bit_depth), bit_depth, full_range);
        acutance_status status;
        {
            nb::gil_scoped_release release;
            status = acutance_process(engine_, &planes.format, luma.data(), planes.luma_stride, out.data(),
                                      planes.out_stride, strength);
        }
        check(status);
    }

    void residual(const Luma& luma, const Out& out) const {
        const Planes planes(engine_, luma, out, nb::dtype<int16_t>(), 16, false);
        acutance_status status;
        {
            nb::gil_scoped_release release;
            status = acutance_residual(engine_, planes.format.width, planes.format.height,
                                       static_cast<const int16_t*>(luma.data()), planes.luma_stride,
                                       static_cast<int16_t*>(out.data()), planes.out_stride);
        }
        check(status);
    }

private:
    acutance_engine* engine_ = nullptr;
};

acutance_tile_options tile_options(int threshold, double tile_budget, double time_budget, bool reuse) {
    return {sizeof(acutance_tile_options), threshold, reuse ? 1 : 0, tile_budget, time_budget};
}

class Session {
public:
    Session(const Engine& engine, int threshold, double tile_budget, double time_budget, bool reuse)
        : engine_(engine.get()) {
        const acutance_tile_options options = tile_options(threshold, tile_budget, time_budget, reuse);
        check(acutance_session_open(engine.get(), &options, &session_));
    }
    ~Session() { acutance_session_close(session_); }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    void set_options(int threshold, double tile_budget, double time_budget, bool reuse) {
        const acutance_tile_options options = tile_options(threshold, tile_budget, time_budget, reuse);
        check(acutance_session_set_options(session_, &options));
    }

    void process(const Luma& luma, const Out& out, double strength, int bit_depth, bool full_range) {
        const Planes planes(engine_, luma, out, sample_type(bit_depth), bit_depth, full_range);
        acutance_status status;
        {
            nb::gil_scoped_release release;
            status = acutance_session_process(session_, &planes.format, luma.data(), planes.luma_stride, out.data(),
                                              planes.out_stride, strength);
        }
        check(status);
    }

    void set_model(nb::bytes model) { check(acutance_session_set_model(session_, model.c_str(), model.size())); }

    nb::tuple counts() const {
        acutance_tile_counts counts{};
        counts.size = sizeof counts;
        check(acutance_session_counts(session_, &counts));
        return nb::make_tuple(counts.tiles, counts.computed, counts.passed, counts.reused);
    }

    void reset() { acutance_session_reset(session_); }

private:
    const acutance_engine* engine_;
    acutance_session* session_ = nullptr;
};

std::vector<std::string> instruction_sets() {
    std::vector<std::string> names;
    for (const char* const* name = acutance_instruction_sets(); *name != nullptr; ++name) names.emplace_back(*name);
    return names;
}

double peak(double seconds, int threads, const std::optional<std::string>& instruction_set) {
    nb::gil_scoped_release release;
    return acutance_peak(seconds, threads, instruction_set ? instruction_set->c_str() : nullptr);
}

}  // namespace

NB_MODULE(_native, module) {
    nb::set_leak_warnings(false);  // the end of the process frees an engine in a global variable
    nb::class_<Engine>(module, "Engine")
        .def(nb::init<nb::bytes, int, const std::optional<std::string>&, bool>(), "model"_a, "threads"_a,
             "instruction_set"_a.none() = nb::none(), "pin_threads"_a = false)
        .def("process", &Engine::process, "luma"_a, "out"_a, "strength"_a, "bit_depth"_a, "full_range"_a)
        .def("residual", &Engine::residual, "luma"_a, "out"_a)
        .def_prop_ro("threads", [](const Engine& engine) { return acutance_engine_threads(engine.get()); })
        .def_prop_ro("instruction_set",
                     [](const Engine& engine) { return std::string(acutance_engine_instruction_set(engine.get())); });
    nb::class_<Session>(module, "Session")
        .def(nb::init<const Engine&, int, double, double, bool>(), nb::keep_alive<1, 2>(), "engine"_a, "threshold"_a,
             "tile_budget"_a, "time_budget"_a, "reuse"_a)
        .def("set_model", &Session::set_model, "model"_a)
        .def("set_options", &Session::set_options, "threshold"_a, "tile_budget"_a, "time_budget"_a, "reuse"_a)
        .def("process", &Session::process, "luma"_a, "out"_a, "strength"_a, "bit_depth"_a, "full_range"_a)
        .def_prop_ro("counts", &Session::counts)
        .def("reset", &Session::reset);
    module.def("version", &acutance_version);
    module.def("instruction_sets", &instruction_sets);
    module.def("peak", &peak, "seconds"_a, "threads"_a, "instruction_set"_a.none() = nb::none());
}
