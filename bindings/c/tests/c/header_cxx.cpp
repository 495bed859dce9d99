// header_cxx RGB_FILE WIDTH HEIGHT: the C++ header, also where exceptions are switched off.
#include "dmue_edge.hpp"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "check.h"

int main(int count, char **arguments) {
    CHECK(count == 4);
    std::ifstream file(arguments[1], std::ios::binary);
    const std::vector<char> pixels(std::istreambuf_iterator<char>(file), {});
    const auto width = static_cast<std::uint32_t>(std::atoi(arguments[2]));
    const auto height = static_cast<std::uint32_t>(std::atoi(arguments[3]));

    dmue::Frame frame;
    CHECK(frame.set_buffer(DMUE_PIXEL_FORMAT_RGB24, width, height, pixels.data(), pixels.size()) ==
          DMUE_STATUS_OK);

    dmue::EngineOptions options;
    options.threads = 2;
    dmue::Engine engine;
    CHECK(!engine);
    CHECK(dmue::Engine::open(engine, &options) == DMUE_STATUS_OK);
    dmue::Engine moved = std::move(engine);
    CHECK(moved && !engine);

    dmue::Faces faces(4);
    faces.want_probabilities(moved.class_count());
    CHECK(moved.predict(frame, faces) == DMUE_STATUS_OK);
    CHECK(faces.size() == 1);
    for (const dmue_face &face : faces) {
        CHECK(std::strcmp(moved.class_name(face.class_index), "happiness") == 0);
        CHECK(face.probabilities[face.class_index] > 0.3f);
    }

    dmue::Session session;
    CHECK(dmue::Session::start(session, moved) == DMUE_STATUS_OK);
    moved = dmue::Engine();
    CHECK(session.process(frame, 0, faces) == DMUE_STATUS_OK);
    CHECK(faces.size() == 1 && faces[0].track_id != 0);
    CHECK(session.reset() == DMUE_STATUS_OK);

    dmue::EngineOptions nowhere;
    nowhere.model_path = "/nowhere/to/be.found";
    CHECK(dmue::Engine::open(moved, &nowhere) == DMUE_STATUS_MODEL);
    CHECK(!moved && std::strlen(dmue::last_error()) > 0);
    return 0;
}
