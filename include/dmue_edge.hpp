// C++17 over dmue_edge.h: objects that free themselves. Nothing here throws but std::vector when
// memory runs out; every call gives a dmue_status, and dmue::last_error() the reason.
//
//     dmue::Engine engine;
//     if (dmue::Engine::open(engine) != DMUE_STATUS_OK) return fail(dmue::last_error());
//     dmue::Frame frame;
//     frame.set_buffer(DMUE_PIXEL_FORMAT_BGR24, mat.cols, mat.rows, mat.data, mat.total() * 3, mat.step);
//     dmue::Faces faces(8);
//     engine.predict(frame, faces);
//     for (const dmue_face &face : faces) show(engine.class_name(face.class_index), face.score);
// SPDX-License-Identifier: Apache-2.0 OR MIT
#ifndef DMUE_EDGE_HPP
#define DMUE_EDGE_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "dmue_edge.h"

namespace dmue {

/// Why the last call that failed on this thread did; empty if none failed.
inline const char *last_error() noexcept { return dmue_last_error(); }

/// dmue_engine_options with its defaults.
struct EngineOptions : dmue_engine_options {
    EngineOptions() noexcept { dmue_engine_options_init(this, sizeof(dmue_engine_options)); }
};

/// dmue_session_options with its defaults.
struct SessionOptions : dmue_session_options {
    SessionOptions() noexcept { dmue_session_options_init(this, sizeof(dmue_session_options)); }
};

/// dmue_timings, prepared.
struct Timings : dmue_timings {
    Timings() noexcept { dmue_timings_init(this, sizeof(dmue_timings)); }
};

/// dmue_known_face, prepared.
struct KnownFace : dmue_known_face {
    KnownFace() noexcept { dmue_known_face_init(this, sizeof(dmue_known_face)); }
};

/// dmue_frame, prepared. It refers to the pixels, which have to outlive it.
struct Frame : dmue_frame {
    Frame() noexcept { dmue_frame_init(this, sizeof(dmue_frame)); }

    /// As dmue_frame_set_buffer; a stride of 0 means rows without padding.
    dmue_status set_buffer(dmue_pixel_format pixel_format, std::uint32_t columns, std::uint32_t rows,
                           const void *data, std::size_t size, std::size_t stride = 0) noexcept {
        const auto *bytes = static_cast<const std::uint8_t *>(data);
        return dmue_frame_set_buffer(this, pixel_format, columns, rows, bytes, size, stride);
    }
};

/// Room for results; after a call it holds the faces of that call.
class Faces {
  public:
    explicit Faces(std::size_t capacity) : faces_(capacity) {
        dmue_faces_init(faces_.data(), capacity, sizeof(dmue_face));
    }
    Faces(const Faces &) = delete; // faces point into probabilities_
    Faces &operator=(const Faces &) = delete;

    /// Has the next calls write `probabilities` and `steadied_probabilities`, `classes` each.
    void want_probabilities(std::size_t classes) {
        probabilities_.assign(faces_.size() * classes * 2, 0.0f);
        for (std::size_t i = 0; i < faces_.size(); i++) {
            faces_[i].probabilities = probabilities_.data() + i * classes * 2;
            faces_[i].steadied_probabilities = faces_[i].probabilities + classes;
            faces_[i].probability_capacity = classes;
        }
    }

    std::size_t size() const noexcept { return count_; }
    std::size_t capacity() const noexcept { return faces_.size(); }
    const dmue_face &operator[](std::size_t index) const noexcept { return faces_[index]; }
    const dmue_face *begin() const noexcept { return faces_.data(); }
    const dmue_face *end() const noexcept { return faces_.data() + count_; }

  private:
    friend class Engine;
    friend class Session;
    std::vector<dmue_face> faces_;
    std::vector<float> probabilities_;
    std::size_t count_ = 0;
};

/// A model and a face detector, shared between threads; empty until opened.
class Engine {
  public:
    /// Loads into `engine`, which is empty after a failure.
    static dmue_status open(Engine &engine, const dmue_engine_options *options = nullptr) noexcept {
        dmue_engine *opened = nullptr;
        const dmue_status status = dmue_engine_open(options, &opened);
        engine.handle_.reset(opened);
        return status;
    }

    explicit operator bool() const noexcept { return handle_ != nullptr; }
    const dmue_engine *get() const noexcept { return handle_.get(); }
    std::size_t class_count() const noexcept { return dmue_engine_class_count(get()); }
    const char *class_name(std::size_t i) const noexcept { return dmue_engine_class_name(get(), i); }

    dmue_status predict(const dmue_frame &frame, Faces &faces) const noexcept {
        dmue_face *first = faces.faces_.data();
        return dmue_engine_predict(get(), &frame, first, faces.capacity(), &faces.count_);
    }

  private:
    struct Free {
        void operator()(dmue_engine *engine) const noexcept { dmue_engine_free(engine); }
    };
    std::unique_ptr<dmue_engine, Free> handle_;
};

/// One video stream, used by one thread at a time; empty until started.
class Session {
  public:
    /// Starts `session`, which is empty after a failure and otherwise keeps what it needs of the engine.
    static dmue_status start(Session &session, const Engine &engine,
                             const dmue_session_options *options = nullptr) noexcept {
        dmue_session *started = nullptr;
        const dmue_status status = dmue_session_new(engine.get(), options, &started);
        session.handle_.reset(started);
        return status;
    }

    explicit operator bool() const noexcept { return handle_ != nullptr; }
    dmue_session *get() const noexcept { return handle_.get(); }

    dmue_status process(const dmue_frame &frame, std::uint64_t timestamp_us, Faces &faces) noexcept {
        dmue_face *first = faces.faces_.data();
        return dmue_session_process(get(), &frame, timestamp_us, first, faces.capacity(),
                                    &faces.count_);
    }
    dmue_status reset() noexcept { return dmue_session_reset(get()); }

  private:
    struct Free {
        void operator()(dmue_session *session) const noexcept { dmue_session_free(session); }
    };
    std::unique_ptr<dmue_session, Free> handle_;
};
} // namespace dmue

#endif
